"""Another model in the place of the champion, for the tests of pages that stay open over it."""

from dataclasses import replace

from starlette.testclient import TestClient

from models.predictor import Predictor
from tests.fakes import FakeClassifier
from tests.serving.clients import service_of

ANOTHER = "2026.12.01+another"


def crown_another(client: TestClient, fake: Predictor) -> None:
    """Nothing; a model of version `ANOTHER`, with the policy of `fake`, is in service."""
    manifest = fake.bundle.manifest.model_copy(update={"model_version": ANOTHER})
    another = Predictor(replace(fake.bundle, manifest=manifest), FakeClassifier(), fake.guards)
    service = service_of(client)
    service.change(service.lineup().crowning(service.engine.warm(another)))
