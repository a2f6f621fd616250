"""Models in memory that need no file: fakes under a name of their own, warmed by a real engine."""

from dataclasses import replace

from models.policy import Policy
from models.predictor import Predictor, Scorer
from serving.engine import Engine, ServedModel
from serving.metrics import Metrics
from tests.fakes import BOLD_POLICY, FakeClassifier, fake_predictor

FAKE = fake_predictor()


def named(version: str, classifier: Scorer | None = None, policy: Policy = BOLD_POLICY) -> Predictor:
    """A fake predictor whose answers name the model `version`."""
    manifest = FAKE.bundle.manifest.model_copy(update={"model_version": version})
    return Predictor(
        replace(FAKE.bundle, manifest=manifest, policy=policy), classifier or FakeClassifier(), FAKE.guards
    )


def served(version: str) -> ServedModel:
    engine = Engine(Metrics(), workers=1, queue_posts=1)
    try:
        return engine.warm(named(version))
    finally:
        engine.close()
