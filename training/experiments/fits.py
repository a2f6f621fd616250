"""One fine-tuning as an experiment: trained or read again, and measured on the development part, class by class.

The calibration part is never looked at here: it proves thresholds, and each look would spend some of its proof.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from data.fingerprint import fingerprint
from data.output import whole_file
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy
from evaluation.metrics import class_scores, tally
from evaluation.predictions import IntArray
from models.calibration import FloatArray, probabilities
from models.policy import RiskBudget
from training.development import figures_of, predict_logits
from training.encoder import read_encoder
from training.examples import make_examples
from training.history import TellEpoch, untold
from training.members import finetune
from training.network import load_network
from training.pipeline import MEMBERS_AT_A_TIME
from training.recipe import Recipe
from training.runs import holding_run, read_unlabelled
from training.tracking.port import DIRECTORY

FIT_FILE = "development.json"


@dataclass(frozen=True, slots=True)
class Fit:
    """What one fine-tuning came to on the development part, all shares 0 to 1.

    `route_f1` holds the routes that truly occur there. `automatic_share` is `automatic_share`.
    """

    seed: int
    macro_f1: float
    accuracy: float
    intent_accuracy: float
    automatic_share: float
    route_f1: dict[str, float]
    seconds: float
    development: str
    """The fingerprint of the posts that it was measured on."""


def automatic_share(routes: IntArray, said: FloatArray, budget: RiskBudget) -> float:
    """The largest share of n posts that one threshold on `simple` closes within the leaks and errors of `budget`.

    `routes` `[n]` are true, `said` `[n, 4]` probabilities. A yardstick for choosing between recipes: no guard, no
    threshold of another route, no calibration and no proof, which are a run's to make.
    """
    simple = ROUTES.index("simple")
    order = np.argsort(-said[:, simple], kind="stable")
    order = order[said[order].argmax(axis=1) == simple]
    closed = np.arange(1, len(order) + 1)
    within = np.append(said[order[1:], simple] < said[order[:-1], simple], True)[: len(order)]  # equals close together
    for route, share in (("sensitive", budget.leak_sensitive), ("influencer", budget.leak_influencer)):
        is_so = routes == ROUTES.index(route)
        within &= np.cumsum(is_so[order]) <= share * is_so.sum()
    within &= np.cumsum(routes[order] != simple) <= budget.wrong * closed
    return float(closed[within].max(initial=0) / max(len(routes), 1))


def _route_f1(routes: IntArray, said: FloatArray) -> dict[str, float]:
    scores = class_scores(tally(routes, said.argmax(axis=1), len(ROUTES)).sum(axis=0))[2]
    return {route: float(score) for route, score in zip(ROUTES, scores, strict=True) if not np.isnan(score)}


def _read(path: Path) -> Fit | None:
    try:
        return Fit(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None


def _write(fit: Fit, path: Path) -> None:
    with whole_file(path) as file:
        json.dump(asdict(fit), file)


def forget_weights(directory: Path) -> None:
    """Nothing; of a fit in `directory` its figures and its record stay: weights and checkpoints take a gigabyte."""
    for path in directory.glob("*"):
        if path.is_dir() and path.name != DIRECTORY:
            shutil.rmtree(path)
        elif path.is_file() and path.name != FIT_FILE:
            path.unlink()


def fit_of(
    weights: Path,
    recipe: Recipe,
    encoder_directory: Path,
    development: Sequence[LabelledPost],
    *,
    taxonomy: Taxonomy,
    seed: int,
    seconds: float,
) -> Fit:
    """What the network with these `weights` makes of the development part; `seed` and `seconds` made it."""
    examples = make_examples(development, taxonomy)
    network = load_network(encoder_directory, weights, "sdpa")
    encoder = read_encoder(recipe.reading, encoder_directory)
    logits = predict_logits(network, encoder, [each.full for each in examples])
    said = probabilities(logits[0], 1.0)
    routes = np.array([each.route for each in examples], dtype=np.int64)
    return Fit(
        seed=seed,
        **figures_of(examples, *logits, routed=True),
        automatic_share=automatic_share(routes, said, recipe.budget),
        route_f1=_route_f1(routes, said),
        seconds=seconds,
        development=fingerprint(development),
    )


def fit(
    recipe: Recipe,
    encoder_directory: Path,
    train: Sequence[LabelledPost],
    development: Sequence[LabelledPost],
    directory: Path,
    *,
    taxonomy: Taxonomy = BUILT_IN,
    watch: Watch = unwatched,
    tell: TellEpoch = untold,
) -> Fit:
    """What the fine-tuning of `recipe` came to, read from `directory`, gone on with there, or begun.

    The posts without labels are those that the recipe names, as they are in a run, whose directory this may be.
    `directory` belongs to one recipe and one set of posts; the caller sees to that.

    Raises:
        DivergedError: when the loss of an epoch is no finite number.
        TrainingError: when another process trains in `directory`.
        SourceError: when the posts without labels that the recipe names cannot be read.
    """
    if (left := _read(directory / FIT_FILE)) is not None:
        return left
    with holding_run(directory):
        finetuned = finetune(
            recipe,
            encoder_directory,
            train,
            development,
            directory,
            unlabelled=read_unlabelled(recipe),
            taxonomy=taxonomy,
            watch=watch,
            processes=MEMBERS_AT_A_TIME if torch.get_num_threads() > 1 else 1,
            tell=tell,
        )
    made = fit_of(
        finetuned.weights,
        recipe,
        encoder_directory,
        development,
        taxonomy=taxonomy,
        seed=recipe.seed,
        seconds=finetuned.seconds,
    )
    _write(made, directory / FIT_FILE)
    return made
