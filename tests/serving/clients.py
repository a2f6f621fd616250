"""How the tests of the server reach one, and the names of what their fixtures hand them."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.predictor import Predictor
from serving.app import create_app
from serving.rules import Rules
from serving.server import address_of, listen, serve
from serving.service import Service
from serving.settings import Settings

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


@contextmanager
def running_server(settings: Settings, load: MakePredictor) -> Iterator[str]:
    """The address of a real server in a thread, stopped gracefully afterwards."""
    app = create_app(settings, load)
    ready = Event()
    with listen(settings) as listener:
        thread = Thread(target=serve, args=(app, settings, listener, ready.set))
        thread.start()
        assert ready.wait(WAIT_S)
        yield address_of(listener)
        app.state.service.drain()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """What the fixture `log` holds."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def read_rules(client: TestClient) -> None:
    """Nothing; the server has read its rules, the policy in force and its brake, as it does every few seconds."""
    state: Any = client.app.state  # type: ignore[attr-defined] # an application of ours
    rules: Rules = state.rules
    rules.look()
    give_up_at_s = monotonic() + WAIT_S
    while not rules.known:  # a journal that has only just begun has no file yet, a model no policy handed over
        if monotonic() > give_up_at_s:
            pytest.fail("The rules could not be read.")
        rules.look()
    state.brake.look()
