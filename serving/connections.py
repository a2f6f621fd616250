"""One connection to the server: what it answers to what is not HTTP, how long it waits, how many there may be.

uvicorn bounds an idle connection between two requests and nothing before the first. Here a head that never ends and
one connection too many have their bounds too. An idle server has no timer: each belongs to a connection that is
being waited for, and a request whose head comes in one piece costs none.
"""

from asyncio import BaseTransport, TimerHandle
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast

from starlette.responses import Response
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.door import Added, Door
from serving.metrics import ConnectionCode, Metrics
from serving.settings import variable
from serving.wire import ErrorBody, ErrorResponse

MAX_HEAD_BYTES = 65_536
"""Twice what nginx takes; httptools itself takes any number, and would keep them all."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the connections of one server are held to."""

    metrics: Metrics
    door: Door
    head_timeout_s: float
    max_connections: int


def _written(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body)


def _refusal(status: HTTPStatus, code: ConnectionCode, message: str, *headers: tuple[bytes, bytes]) -> bytes:
    body = ErrorResponse(error=ErrorBody(code=code, message=message)).model_dump_json(ensure_ascii=True).encode()
    length = str(len(body)).encode()
    about = ((b"content-type", b"application/json"), (b"connection", b"close"), (b"content-length", length))
    return _written(status, (*about, *headers), body)


def _bytes_of(answer: Response, added: Added, cycle: RequestResponseCycle) -> bytes:
    headers = [*cycle.default_headers, *answer.raw_headers]
    headers.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in added.items())
    if not cycle.keep_alive:
        headers.append((b"connection", b"close"))
    return _written(answer.status_code, headers, bytes(answer.body))


class BoundedProtocol(HttpToolsProtocol):
    """HTTP as uvicorn reads it, within bounds; what is refused is refused in the same shape as everything else."""

    bounds: ClassVar[Bounds]

    def __init__(self, *arguments: Any, **named: Any) -> None:  # uvicorn's own, whatever they are
        super().__init__(*arguments, **named)
        self._waiting: TimerHandle | None = None
        self._head_begun = False
        self._head_bytes = 0
        self._shared = False
        self._in_line = False

    def _refuse(self, status: HTTPStatus, code: ConnectionCode, message: str, *headers: tuple[bytes, bytes]) -> None:
        self.bounds.metrics.observe_connection_refused(code)
        self.transport.write(_refusal(status, code, message, *headers))
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.bounds.head_timeout_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        """A silent connection is closed without a word: a browser that opened it in advance would show it."""
        self._waiting = None
        if self.transport.is_closing():
            return
        if not self._head_begun:
            self.transport.close()
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            "head_timeout",
            f"The request was not read: its head did not end within {self.bounds.head_timeout_s:g} s. Wanted: all of "
            f"it in {variable('head_timeout_ms')}. Send it in one piece, or give the post to an agent.",
        )

    def connection_made(self, transport: BaseTransport) -> None:
        """Nothing; waits for a head, or refuses the connection where there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type] # TCP alone is listened on
        self.bounds.metrics.observe_connections(1)
        if len(self.connections) <= self.bounds.max_connections:
            self._wait()
            return
        self._refuse(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too_many_connections",
            f"The connection was refused: {self.bounds.max_connections} are open. Allowed: so many "
            f"({variable('max_connections')}). Keep fewer alive, ask another server, or give the post to an agent.",
            (b"retry-after", b"1"),
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing; forgets the connection."""
        self._stop_waiting()
        self.bounds.metrics.observe_connections(-1)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Nothing; reads on. Whatever comes while no request runs must become a head in time."""
        self._shared = False
        super().data_received(data)
        if self._head_begun and not self._shared:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "head_too_large",
                    f"The request was not read: its head is longer than {MAX_HEAD_BYTES} bytes. Wanted: no more. Send "
                    "fewer or shorter headers.",
                )
        request: RequestResponseCycle | None = self.cycle  # none before the first
        if (request is None or request.response_complete) and self._waiting is None and not self.transport.is_closing():
            self._wait()

    def on_message_begin(self) -> None:
        """Nothing; the parser has seen the first byte of a head."""
        self._head_begun = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Nothing; the parser has seen the last byte of a head."""
        self._head_begun = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing; the parser has seen the end of a request. What else is in this piece of data is another's."""
        self._shared = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Nothing; runs a request whose head was read, or answers it here.

        One that waited for the answer before it on the same connection is refused by its route, if at all: a thousand
        of them answered here, each from the end of the one before, would be a thousand calls deep. So is one whose
        client does not read its answers: the route waits until it does, and nothing more is read meanwhile.
        """
        refused = None if self._in_line or self.flow.write_paused else self.bounds.door.let_in(cast(Scope, cycle.scope))
        if refused is None:
            super()._start_asgi_task(cycle, app)
            return
        cycle.response_started = cycle.response_complete = True  # what is left of its body is read past
        self.transport.write(_bytes_of(*refused, cycle))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_response_complete(self) -> None:
        """Nothing; a request that waited on this connection begins."""
        self._in_line = True
        super().on_response_complete()
        self._in_line = False

    def send_400_response(self, msg: str) -> None:
        """Nothing; answers bytes that are not HTTP, and closes the connection."""
        message = f"The request was not read: {msg} Wanted: HTTP/1.1. Use an HTTP client."
        self._refuse(HTTPStatus.BAD_REQUEST, "bad_http", message)


def protocol_within(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol of a server whose connections keep to `bounds`; uvicorn makes one of it for each connection."""
    return type("ServerProtocol", (BoundedProtocol,), {"bounds": bounds})
