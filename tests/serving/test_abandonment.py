"""Clients that go away: what they no longer wait for is not run, and the others on the line notice nothing."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from httpx2 import Client
from starlette.types import Message

from serving.abandonment import WhileConnected
from serving.errors import ClientGoneError
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, running_server
from tests.serving.gates import GATE_WORD, GatedClassifier


class Connection:
    """What a server gives a request by `receive`, once its body was read."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        await self.lost.wait()
        return {"type": "http.disconnect"}


def test_a_block_ends_when_the_client_goes_and_its_work_is_cancelled() -> None:
    ended: list[str] = []

    async def work(connection: Connection) -> None:
        async with WhileConnected(connection.receive):
            asyncio.get_running_loop().call_soon(connection.lost.set)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("work")

    async def scenario() -> None:
        with pytest.raises(ClientGoneError):
            await work(Connection())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # nothing is left that would be cancelled here

    asyncio.run(scenario())
    assert ended == ["work"]


def test_a_block_that_ends_by_itself_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        connection = Connection()
        async with WhileConnected(connection.receive):
            await asyncio.sleep(0)
        connection.lost.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert connection.asked == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_an_error_of_the_block_and_a_cancellation_from_elsewhere_stay_what_they_are() -> None:
    async def wait() -> None:
        async with WhileConnected(Connection().receive):
            await asyncio.Event().wait()

    async def scenario() -> None:
        with pytest.raises(KeyError):
            async with WhileConnected(Connection().receive):
                raise KeyError
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_a_message_that_is_no_disconnect_changes_nothing() -> None:
    async def scenario() -> None:
        messages: list[Message] = [{"type": "http.request"}, {"type": "http.request"}]
        connection = Connection()

        async def receive() -> Message:
            return messages.pop() if messages else await connection.receive()

        async with WhileConnected(receive):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert messages == []

    asyncio.run(scenario())


def request_of(text: str, *, close: bool = False) -> bytes:
    body = json.dumps({"text": text}).encode()
    connection = b"Connection: close\r\n" if close else b""
    return (
        b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%b\r\n%b" % (len(body), connection, body)
    )


@dataclass
class Gated:
    """A real server with one worker, and the classifier that stands at the gate word."""

    address: str
    classifier: GatedClassifier

    @contextmanager
    def line(self) -> Iterator[socket.socket]:
        parts = urlsplit(self.address)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=WAIT_S) as line:
            yield line

    def wait_for(self, sample: str) -> None:
        """Returns once `/metrics` has this line; asking goes through the server's loop, so it moves on meanwhile."""
        with Client(base_url=self.address, timeout=WAIT_S) as client:
            while f"\n{sample}\n" not in client.get("/metrics").text:
                pass


@pytest.fixture
def gated(make_predictor: MakePredictor) -> Iterator[Gated]:
    classifier = GatedClassifier()
    settings = Settings(port=0, workers=1, request_timeout_ms=PATIENT_MS)
    with running_server(settings, lambda: make_predictor(classifier)) as address:
        classifier.seen.clear()
        yield Gated(address, classifier)
        classifier.gate.set()


def test_what_a_client_left_while_it_waited_is_not_run(gated: Gated) -> None:
    with gated.line() as first:
        first.sendall(request_of(GATE_WORD))
        assert gated.classifier.entered.wait(WAIT_S)
        with gated.line() as second:
            second.sendall(request_of("gone"))
            gated.wait_for('signalbox_waiting_posts{lane="interactive"} 1.0')
        gated.wait_for('signalbox_unrun_total{why="abandoned"} 1.0')
        gated.wait_for('signalbox_refusals_total{code="client_gone"} 1.0')
        gated.classifier.gate.set()
        assert first.recv(65_536).startswith(b"HTTP/1.1 200")
        assert gated.classifier.seen == [GATE_WORD]


def test_requests_on_one_line_after_another_and_at_once_are_all_answered_in_order(gated: Gated) -> None:
    """Watching for the client's leaving takes nothing from the requests behind."""
    gated.classifier.gate.set()
    with gated.line() as line:
        for text in ("parcel", "scam"):
            line.sendall(request_of(text))
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
        line.sendall(request_of("lol") + request_of("thanks") + request_of("parcel again", close=True))
        heard = b""
        while piece := line.recv(65_536):
            heard += piece
    assert heard.count(b"HTTP/1.1 200") == 3
    labels = [heard.find(label) for label in (b'"not_service"', b'"praise"', b'"service_quality"')]
    assert labels == sorted(labels)
    assert min(labels) > 0
