"""Connections that are slow, silent, half closed or too many, through real sockets."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from serving.connections import MAX_HEAD_BYTES
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, running_server
from tests.serving.sockets import connect, count_of, rest_of

HEAD = b"GET /healthz HTTP/1.1\r\nhost: here\r\n"
WHOLE = HEAD + b"\r\n"
SHORT_MS = 200
"""Long enough for a test's own bytes on a busy machine."""
ServeBounded = Callable[..., Any]


@pytest.fixture
def serve_bounded(make_predictor: MakePredictor) -> ServeBounded:
    """A real server with settings of its own, as its address."""

    @contextmanager
    def start(**settings: int) -> Iterator[str]:
        fields = {"port": 0, "request_timeout_ms": PATIENT_MS, **settings}
        with running_server(Settings.model_validate(fields), make_predictor) as address:
            yield address

    return start


def answer_on(connection: socket.socket) -> bytes:
    """One answer of a connection that stays open."""
    got = b""
    while not got.endswith(b'{"status":"ok"}'):
        part = connection.recv(65_536)
        assert part, got
        got += part
    return got


def check_refusal(answer: bytes, status: int, code: str) -> str:
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    said = json.loads(body)
    assert said["error"]["code"] == code
    assert said["fallback"] == {"action": "agent"}
    return str(said["error"]["message"])


def wait_until(done: Callable[[], bool]) -> None:
    """Asks again and again; only a broken server is asked for long."""
    until = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < until, "the server never got there"


def test_a_head_that_does_not_end_in_time_is_refused_and_the_connection_closed(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as connection:
        connection.sendall(HEAD)
        message = check_refusal(rest_of(connection), 408, "head_timeout")
        assert "did not end within 0.2 s" in message
        assert "SIGNALBOX_HEAD_TIMEOUT_MS" in message
        assert count_of(address, 'signalbox_connections_refused_total{code="head_timeout"}') == 1


def test_a_head_that_drips_does_not_buy_time(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as connection:
        connection.sendall(HEAD)
        connection.settimeout(SHORT_MS / 1_000 / 5)
        got, until = b"", time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                part = connection.recv(65_536)
            except TimeoutError:
                connection.sendall(b"x: y\r\n")
                continue
            except ConnectionError:
                break
            got += part
            if not part:
                break
        check_refusal(got, 408, "head_timeout")


def test_a_head_without_end_is_refused_however_fast_it_comes(serve_bounded: ServeBounded) -> None:
    with serve_bounded() as address, connect(address) as connection:
        connection.sendall(HEAD)
        line = b"x: " + b"y" * 4_000 + b"\r\n"
        for _ in range(1 + MAX_HEAD_BYTES // len(line)):
            connection.sendall(line)
        check_refusal(rest_of(connection), 431, "head_too_large")


@pytest.mark.parametrize("bytes_sent", [b"", b"\r\n\r\n"])
def test_a_connection_on_which_no_request_begins_is_closed_without_a_word(
    serve_bounded: ServeBounded, bytes_sent: bytes
) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as connection:
        connection.sendall(bytes_sent)
        assert rest_of(connection) == b""
        assert count_of(address, 'signalbox_connections_refused_total{code="head_timeout"}') == 0


def test_the_second_head_of_a_connection_has_its_time_too(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as connection:
        connection.sendall(WHOLE)
        answer_on(connection)
        connection.sendall(HEAD)
        check_refusal(rest_of(connection), 408, "head_timeout")


def test_blank_lines_after_an_answer_do_not_keep_a_connection(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as connection:
        connection.sendall(WHOLE)
        answer_on(connection)
        connection.sendall(b"\r\n")
        assert rest_of(connection) == b""


def test_a_body_that_drips_on_after_its_refusal_does_not_keep_a_connection(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS, max_body_bytes=1_024) as address, connect(address) as connection:
        head = b"POST /v1/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
        connection.sendall(head + b"content-length: 9999\r\n\r\n{")
        first = connection.recv(65_536)
        assert first.startswith(b"HTTP/1.1 413 ")
        connection.sendall(b" ")
        assert b"head_timeout" not in first + rest_of(connection)


def test_a_request_in_pieces_and_many_on_one_connection_are_answered(serve_bounded: ServeBounded) -> None:
    with serve_bounded() as address, connect(address) as connection:
        for pieces in ([WHOLE], [HEAD, b"\r\n"], [b"G", WHOLE[1:]], [WHOLE]):
            for piece in pieces:
                connection.sendall(piece)
            assert answer_on(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_runs_is_not_cut_off_by_the_time_of_heads(serve_bounded: ServeBounded) -> None:
    """The body comes only after the time for heads has passed on another connection that was opened later."""
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, connect(address) as slow, connect(address) as later:
        head = b"POST /v1/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
        slow.sendall(head + b"content-length: 17\r\n\r\n")
        later.sendall(HEAD)
        check_refusal(rest_of(later), 408, "head_timeout")
        slow.sendall(b'{"text":"thanks"}')
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_half_closed_connection_is_freed(serve_bounded: ServeBounded) -> None:
    with serve_bounded() as address, connect(address) as connection:
        connection.sendall(HEAD)
        wait_until(lambda: count_of(address, "signalbox_connections") == 2)  # this one, and the one that asks
        connection.shutdown(socket.SHUT_WR)
        assert rest_of(connection) == b""
        wait_until(lambda: count_of(address, "signalbox_connections") == 1)


def test_one_connection_too_many_is_refused_and_there_is_room_again_when_one_goes(serve_bounded: ServeBounded) -> None:
    with serve_bounded(max_connections=2) as address:
        with connect(address) as first, connect(address) as second:
            for connection in (first, second):
                connection.sendall(WHOLE)
                answer_on(connection)
            with connect(address) as third:
                answer = rest_of(third)
            assert "2 are open" in check_refusal(answer, 503, "too_many_connections")
            assert b"\r\nretry-after: 1\r\n" in answer
            first.sendall(WHOLE)
            answer_on(first)
        wait_until(lambda: answers(address))
        assert count_of(address, 'signalbox_connections_refused_total{code="too_many_connections"}') >= 1


def answers(address: str) -> bool:
    with connect(address) as connection:
        connection.sendall(WHOLE)
        return connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone bounds it")
def test_an_answer_that_nobody_reads_frees_its_connection(serve_bounded: ServeBounded) -> None:
    with serve_bounded(head_timeout_ms=SHORT_MS) as address, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, port = address.removeprefix("http://").split(":")
        deaf.connect((host, int(port)))
        deaf.settimeout(WAIT_S)
        wait_until(lambda: count_of(address, "signalbox_connections") == 2)
        deaf.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: here\r\n\r\n" * 8)
        wait_until(lambda: count_of(address, "signalbox_connections") == 1)
