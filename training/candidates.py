"""What an exported graph is worth: its temperatures, its predictions and the policy that can be proven for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.post import LabelledPost
from data.rendering import render
from data.splits import Splits
from data.taxonomy import ROUTES, Taxonomy
from evaluation.behaviour.capabilities import SHIPPED_CASES, read_cases
from evaluation.behaviour.withstanding import score_injections
from evaluation.predictions import Predictions, join, predict_posts
from evaluation.temperature import fit_temperature
from evaluation.thresholds import Fitted, allow_all, fit_policy
from models.bundle import Bundle, Encoder, Manifest
from models.calibration import Calibration
from models.classifier import Classifier, Logits
from models.guards import Guards
from models.policy import Policy
from models.predictor import Predictor, Scorer
from training.recipe import Precision, Recipe


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exported graph, calibrated, with what it makes of the development split on the served path."""

    graph: Path
    bundle: Bundle
    """In memory only: what a predictor asks of a bundle before there is one to write."""
    classifier: Scorer
    guards: Guards
    development: Predictions

    def predictor(self, policy: Policy) -> Predictor:
        """The candidate as it would serve under `policy`."""
        return Predictor(self.bundle, self.classifier, self.guards, policy=policy)


@dataclass(frozen=True, slots=True)
class Proven:
    """The candidate that was chosen, with the policy that the calibration split proves for it."""

    candidate: Candidate
    held_out: Predictions
    fitted: Fitted


def fit_calibration(logits: Logits, posts: Sequence[LabelledPost], taxonomy: Taxonomy) -> Calibration:
    """The temperatures of both heads from the exported session's logits of posts that trained and stopped nothing."""
    routes = np.array([ROUTES.index(post.route) for post in posts], dtype=np.int64)
    intents = np.array([taxonomy.names.index(post.intent) for post in posts], dtype=np.int64)
    return Calibration(
        route_temperature=fit_temperature(logits.route, routes),
        intent_temperature=fit_temperature(logits.intent, intents),
    )


def _unwritten(
    graph: Path, recipe: Recipe, taxonomy: Taxonomy, precision: Precision, calibration: Calibration
) -> Bundle:
    """A bundle in memory, enough to predict with before there is anything to write."""
    manifest = Manifest(
        model_version="candidate",
        created_at=datetime.now(UTC),
        taxonomy=taxonomy.version,
        precision=precision,
        encoder=Encoder(name=recipe.encoder.name, sha256=recipe.encoder.sha256),
        git_commit="",
        data_fingerprint="",
        reading=recipe.reading,
    )
    policy = Policy(budget=recipe.budget, no_reply_intents=taxonomy.no_reply_intents)
    return Bundle(graph.parent, manifest, taxonomy, calibration, policy, metrics={})


def measure_candidate(
    graph: Path, tokenizer: Path, precision: Precision, *, recipe: Recipe, splits: Splits, guards: Guards
) -> Candidate:
    """The candidate of a graph: calibrated on `temperature`, measured on `development`, blind to `calibration`."""
    classifier = Classifier(graph, tokenizer, recipe.reading)
    posts, taxonomy = splits.part("temperature"), splits.taxonomy
    logits = classifier.logits([classifier.encode(render(post)) for post in posts])
    bundle = _unwritten(graph, recipe, taxonomy, precision, fit_calibration(logits, posts, taxonomy))
    predictor = Predictor(bundle, classifier, guards)
    development = predict_posts(predictor, splits.part("development"))
    return Candidate(graph, bundle, classifier, guards, development)


def prove(candidate: Candidate, splits: Splits, *, withstand_injections: bool) -> Proven:
    """The chosen candidate proven on the calibration split. Once for a run: choosing by what is proven proves less.

    To `withstand_injections` its policy is the boldest proven one under which nobody talks the machine into closing a
    post: the gate would refuse a bolder one (`evaluation/behaviour/cases.toml`).

    The temperature split joins development in choosing the path: it gave two numbers to the model and no more, and
    a path chosen on 700 posts alone is chosen by luck.
    """
    policy = candidate.bundle.policy
    predictor = candidate.predictor(policy)
    choosing = join(candidate.development, predict_posts(predictor, splits.part("temperature")))
    held_out = predict_posts(predictor, splits.part("calibration"))
    injections = score_injections(predictor, read_cases(SHIPPED_CASES)) if withstand_injections else None
    allows = injections.withstood_by if injections else allow_all
    return Proven(candidate, held_out, fit_policy(choosing, held_out, policy, allows=allows))
