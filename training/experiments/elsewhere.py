"""What the network of a fit makes of posts that took no part in making it: figures only, never a post.

As its training left it, in fp32, before export, temperature and thresholds: rungs of a ladder are held against each
other so, bundles by `evaluation compare`. Posts of several windows are read to the end of the first.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.progress import Watch, unwatched
from data.rendering import render
from data.taxonomy import ROUTES, Taxonomy
from evaluation.metrics import accuracy, equal_mass_bins, expected_calibration_error, macro_f1
from evaluation.risk import answerable_share
from models.calibration import probabilities
from training.development import predict_logits
from training.encoder import read_encoder
from training.network import load_network
from training.outside import Outside
from training.recipe import Recipe

WRONG_SHARE = 0.05
"""Of what `simple_answerable` would answer, so much may be no simple post."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Shares 0 to 1. `simple_answerable` is `answerable_share` at `WRONG_SHARE`, 0 where no threshold keeps to it."""

    accuracy: float
    macro_f1: float
    intent_accuracy: float
    simple_answerable: float
    calibration_error: float


def measure_elsewhere(
    weights: Path,
    recipe: Recipe,
    encoder_directory: Path,
    outside: Outside,
    taxonomy: Taxonomy,
    *,
    watch: Watch = unwatched,
) -> Elsewhere:
    """The figures of the network of `recipe` with these `weights`."""
    network = load_network(encoder_directory, weights, "sdpa")
    encoder = read_encoder(recipe.reading, encoder_directory)
    pairs = [render(post) for post in outside.posts]
    routes, intents = predict_logits(network, encoder, pairs, watch=watch)
    said = probabilities(routes, 1.0)
    true = np.array([ROUTES.index(post.route) for post in outside.posts], dtype=np.int64)
    topics = np.array([taxonomy.names.index(post.intent) for post in outside.posts], dtype=np.int64)
    predicted = said.argmax(axis=1)
    simple = ROUTES.index("simple")
    return Elsewhere(
        accuracy=accuracy(true, predicted),
        macro_f1=macro_f1(true, predicted, ROUTES),
        intent_accuracy=accuracy(topics, intents.argmax(axis=1)),
        simple_answerable=answerable_share(said[:, simple], true == simple, WRONG_SHARE) or 0.0,
        calibration_error=expected_calibration_error(equal_mass_bins(said.max(axis=1), predicted == true)),
    )
