"""How the tests of the server name what their fixtures hand them."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from starlette.testclient import TestClient

from models.predictor import Predictor
from serving.service import Service

WAIT_S = 120.0
"""How long a test waits for what must happen at once; only a broken program ever waits so long."""
PATIENT_MS = 120_000
"""The request deadline of test servers, so that a busy machine makes no test fail; tests of deadlines set their own."""
MakePredictor = Callable[..., Predictor]
Serve = Callable[..., AbstractContextManager[TestClient]]


def service_of(client: TestClient) -> Service:
    """The service within the application that a client calls."""
    service = client.app.state.service  # type: ignore[attr-defined] # what a client calls is typed as any application
    assert isinstance(service, Service)
    return service
