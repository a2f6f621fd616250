"""What the tests of the server share: one language model for all, and servers in a line."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from models.guards import Guards, LanguageDetector
from models.policy import Policy
from models.predictor import Predictor, Scorer
from serving.app import create_app
from serving.logs import configure_logs
from serving.settings import Settings
from tests.fakes import BOLD_POLICY, NOW, FakeClassifier, fake_bundle
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, Serve, running_server, service_of


@pytest.fixture(scope="session")
def make_predictor() -> MakePredictor:
    """Predictors over a fake classifier; the language model is read once for all tests."""
    guards = Guards(LanguageDetector())

    def make(
        classifier: Scorer | None = None, policy: Policy = BOLD_POLICY, override: Policy | None = None
    ) -> Predictor:
        return Predictor(fake_bundle(policy), classifier or FakeClassifier(), guards, policy=override, now=lambda: NOW)

    return make


@pytest.fixture(scope="session")
def serve(make_predictor: MakePredictor) -> Serve:
    """A client of a started server: `with serve() as client`, with settings, a classifier or a policy of its own."""

    @contextmanager
    def start(
        classifier: Scorer | None = None, *, override: Policy | None = None, **settings: object
    ) -> Iterator[TestClient]:
        predictor = make_predictor(classifier, override=override)
        app = create_app(Settings.model_validate({"request_timeout_ms": PATIENT_MS, **settings}), lambda: predictor)
        with TestClient(app) as client:
            assert service_of(client).settled.wait(WAIT_S)
            yield client

    return start


@pytest.fixture(scope="session")
def client(serve: Serve) -> Iterator[TestClient]:
    """A client of a server with all settings at their defaults, shared by tests that only ask."""
    with serve() as client:
        yield client


@pytest.fixture(scope="session")
def serving_address(make_predictor: MakePredictor) -> Iterator[str]:
    """The address of a real server on a free loopback port, in a thread, with all other settings at their defaults."""
    with running_server(Settings(port=0, request_timeout_ms=PATIENT_MS), make_predictor) as address:
        yield address


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server logs from here on; the test runner's own handlers come back afterwards."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, level, uvicorn_level = root.handlers[:], root.level, uvicorn.level
    root.handlers = []
    stream = io.StringIO()
    configure_logs("info", stream)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # the test's own client
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    uvicorn.setLevel(uvicorn_level)
