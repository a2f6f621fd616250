"""Who is turned away at the door, and that connection and accounts are in order after it; through real sockets."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from socket import socket

import pytest
from starlette.routing import Route
from starlette.types import Scope

from serving.app import create_app
from serving.dialects import error_writer
from serving.door import Door
from serving.metrics import Metrics
from serving.observer import Accounts, known_record
from serving.settings import Settings
from serving.turns import Turns
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, running_server
from tests.serving.gates import GATE_WORD, GatedClassifier
from tests.serving.sockets import connect, count_of

PREDICT = "/v1/predict"
TURNED_AWAY = 'signalbox_requests_total{route="/v1/predict",status="429"}'


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"POST {PREDICT} HTTP/1.1",
        "host: here",
        "content-type: application/json",
        f"content-length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def read_answer(connection: socket) -> Answer:
    """The next answer of a connection; nothing of the one after it is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    first, *lines = head.decode().rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body))
    return Answer(int(first.split()[1]), headers, body)


def check_turned_away(answer: Answer) -> None:
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    said = json.loads(answer.body)
    assert said["error"]["code"] == "overloaded"
    assert said["fallback"] == {"action": "agent"}


@contextmanager
def full_server(make_predictor: MakePredictor) -> Iterator[tuple[str, socket, GatedClassifier]]:
    """The address of a server whose only place is taken, the connection that has it, and who lets it go on."""
    classifier = GatedClassifier()
    fields = {"port": 0, "request_timeout_ms": PATIENT_MS, "workers": 1, "queue_posts": 1, "max_batch_posts": 1}
    load = partial(make_predictor, classifier=classifier)
    with running_server(Settings.model_validate(fields), load) as address, connect(address) as first:
        first.sendall(post(json.dumps({"text": GATE_WORD}).encode()))
        assert classifier.entered.wait(WAIT_S)
        try:
            yield address, first, classifier
        finally:
            classifier.gate.set()


def test_a_post_is_turned_away_before_its_body_and_the_connection_goes_on(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, first, classifier), connect(address) as connection:
        connection.sendall(post(b"", "x-request-id: mine-7", length=20))  # the body has yet to come
        answer = read_answer(connection)
        check_turned_away(answer)
        assert answer.headers["x-request-id"] == "mine-7"
        assert "connection" not in answer.headers
        connection.sendall(b'{"text": "thank you"}'[:20])  # read past
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n")
        assert read_answer(connection).status == 200
        assert count_of(address, TURNED_AWAY) == 1
        assert count_of(address, 'signalbox_refusals_total{code="overloaded"}') == 1
        classifier.gate.set()
        assert read_answer(first).status == 200
        connection.sendall(post(b'{"text": "thank you"}'))
        assert read_answer(connection).status == 200


def test_who_wants_the_connection_closed_gets_it_closed(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, _, _), connect(address) as connection:
        connection.sendall(post(b'{"text": "thank you"}', "connection: close"))
        answer = read_answer(connection)
        check_turned_away(answer)
        assert answer.headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_thousand_requests_in_one_piece_are_each_turned_away(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, _, _), connect(address) as connection:
        connection.sendall(post(b'{"text": "thank you"}') * 1_000)
        for _ in range(1_000):
            check_turned_away(read_answer(connection))
        assert count_of(address, TURNED_AWAY) == 1_000


def test_who_does_not_read_what_he_is_told_is_read_no_more(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, _, _), connect(address) as connection:
        connection.settimeout(1)
        requests = post(b'{"text": "thank you"}') * 200_000  # their answers would be 150 MB
        with pytest.raises(TimeoutError):
            connection.sendall(requests)


def test_requests_behind_one_that_runs_on_their_connection_wait_for_it(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, first, classifier):
        first.sendall(post(b'{"text": "thank you"}') * 300)
        classifier.gate.set()
        assert [read_answer(first).status for _ in range(301)] == [200] * 301
        assert count_of(address, 'signalbox_requests_total{route="/v1/predict",status="200"}') == 301


def test_other_routes_come_in(make_predictor: MakePredictor) -> None:
    with full_server(make_predictor) as (address, _, _), connect(address) as connection:
        connection.sendall(b"GET /v1/predict HTTP/1.1\r\nhost: here\r\n\r\n")
        assert read_answer(connection).status == 405
        connection.sendall(post(b'{"text": "x"}', "x-request-timeout-ms: soon"))
        assert read_answer(connection).status == 422


# Too many wait for the event loop


def scope_of(timeout_ms: int) -> Scope:
    headers = [(b"x-request-timeout-ms", str(timeout_ms).encode())]
    return {"type": "http", "method": "POST", "path": PREDICT, "headers": headers}


@pytest.fixture
def turns() -> Turns:
    """A line in which a turn takes 10 ms, going by the only one there was."""
    line = Turns()
    line.begin(line.queue(), 0.1)
    assert line.wait_s == 0
    return line


@pytest.fixture
def door(make_predictor: MakePredictor, turns: Turns) -> Door:
    app = create_app(Settings(), make_predictor)
    accounts = Accounts(Metrics(), timeout_s=600, access_log=False)
    route = next(each for each in app.routes if isinstance(each, Route) and each.path == PREDICT)
    return Door(app.state.service, accounts, turns, routes={PREDICT: route}, write=error_writer(()))


def let_in(door: Door, scope: Scope) -> bool:
    async def ask() -> bool:
        return door.let_in(scope) is None

    return asyncio.run(ask())


def test_one_that_would_wait_for_the_loop_beyond_its_deadline_is_turned_away(door: Door, turns: Turns) -> None:
    came_in = [let_in(door, scope_of(timeout_ms=50)) for _ in range(5)]
    assert came_in == [True, True, True, False, False]  # 2 x 10 ms for each that waits
    assert let_in(door, scope_of(timeout_ms=200))
    assert turns.wait_s == pytest.approx(0.04)


def test_a_lone_request_comes_in_however_long_the_last_turn_took(door: Door, turns: Turns) -> None:
    turns.begin(turns.queue(), 600.0)
    assert let_in(door, scope_of(timeout_ms=1))
    assert not let_in(door, scope_of(timeout_ms=1))


def test_what_a_turn_takes_is_learnt_by_the_place_in_the_line() -> None:
    turns = Turns()
    for _ in range(200):
        places = [turns.queue() for _ in range(4)]
        for place in places:
            turns.begin(place, 0.002 * place)
    turns.queue()
    assert turns.wait_s == pytest.approx(0.002)


def test_who_comes_in_has_a_record_and_a_place(door: Door) -> None:
    first, second = scope_of(timeout_ms=60_000), scope_of(timeout_ms=60_000)
    assert let_in(door, first)
    assert let_in(door, second)
    records = [known_record(scope) for scope in (first, second)]
    assert [record and record.place for record in records] == [1, 2]
