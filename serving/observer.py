"""What happens around every request: its id, its deadline, its line in the log, its place in the metrics.

Pure ASGI. Also the last net: an exception that nobody expected ends here as the same error shape as any other, and
goes no further, since what stands outside would print it.
"""

import asyncio
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from serving.auth import KeyEntry
from serving.errors import ErrorWriter, InternalError, NotReadyError
from serving.journal.entry import Caller
from serving.logs import fault_of
from serving.metrics import UNMATCHED, Metrics
from serving.timing import Timing
from serving.traces import trace_id_of
from serving.turns import Turns
from serving.wire import PredictResponse

LOG = logging.getLogger("signalbox.requests")
_SANE_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_RECORD = "signalbox.record"


@dataclass(slots=True)
class RequestRecord:
    """What is kept of one request while it runs. `came_s` and `deadline_s` are times of the event loop's clock.

    `place` is that in the line of those that wait for the event loop, 0 where it did not wait. `key` is the entry of
    its key, where one was asked for; `headers` are added to its answer, and `timing` where it was judged.
    """

    request_id: str
    came_s: float
    deadline_s: float
    route: str = UNMATCHED
    started_at: float = field(default_factory=perf_counter)
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int = 0
    error_code: str | None = None
    answers: list[PredictResponse] = field(default_factory=list)
    key: KeyEntry | None = None
    headers: dict[str, str] = field(default_factory=dict)
    timing: Timing | None = None
    place: int = 0
    answered_at: float | None = None
    """Where the answer goes on for as long as somebody listens: when it began."""

    def heed(self, timeout_ms: int | None) -> None:
        """Nothing; brings the deadline forward to what the caller asked for. Never puts it off."""
        if timeout_ms is not None:
            self.deadline_s = min(self.deadline_s, self.came_s + timeout_ms / 1_000)

    @property
    def caller(self) -> Caller:
        """What the journal keeps of it."""
        return Caller(self.request_id, self.key.name if self.key else None, self.received_at, self.started_at)

    def all_headers(self) -> dict[str, str]:
        """What is added to its answer, sent now."""
        headers = {"X-Request-ID": self.request_id, **self.headers}
        if self.timing is not None:
            headers["Server-Timing"] = self.timing.header(perf_counter() - self.started_at)
        return headers


def known_record(scope: Scope) -> RequestRecord | None:
    """The record of a request that came through the observer, `None` for any other."""
    record = scope.get(_RECORD)
    return record if isinstance(record, RequestRecord) else None


def record_of(request: Request) -> RequestRecord:
    """The record of a running request."""
    record = known_record(request.scope)
    if record is None:
        raise TypeError("This request did not come through the observer.")
    return record


def _request_id(scope: Scope) -> str:
    """The caller's id where it is short and plain, else one of ours."""
    said = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return said if _SANE_REQUEST_ID.fullmatch(said) else str(ULID())


def _route_of(scope: Scope) -> str:
    """The path of the route that was found, parameters by name; one word for all paths that are not ours."""
    return getattr(scope.get("route"), "path", UNMATCHED)


def _cut_off() -> NotReadyError:
    return NotReadyError(
        "The request was cut off: this server was told to stop at once. Wanted: one that is ready. Send it again to "
        "another server, or give the post to an agent.",
        headers={"Retry-After": "1", "Connection": "close"},
    )


class Accounts:
    """What is kept of every request: a record while it runs, then its place in the metrics and its line in the log."""

    def __init__(self, metrics: Metrics, *, timeout_s: float, access_log: bool) -> None:
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._access_log = access_log

    def begin(self, scope: Scope) -> RequestRecord:
        """The record of a request that has come. On the event loop."""
        came_s = asyncio.get_running_loop().time()
        record = RequestRecord(_request_id(scope), came_s, came_s + self._timeout_s)
        scope[_RECORD] = record
        return record

    def end(self, record: RequestRecord, scope: Scope) -> None:
        """Nothing; the request has its answer, or never will."""
        record.route = _route_of(scope)
        seconds = (record.answered_at or perf_counter()) - record.started_at
        self._metrics.observe_request(record.route, record.status, seconds)
        if record.error_code is not None:
            self._metrics.observe_refusal(record.error_code)
        if self._access_log:
            fields = {
                "request_id": record.request_id,
                "method": scope["method"] if scope["method"] in METHODS else "other",
                "route": record.route,
                "status": record.status,
                "latency_ms": round(seconds * 1_000, 3),
                "error_code": record.error_code,
                "prediction_ids": [each.prediction_id for each in record.answers],
                "trace_id": trace_id_of(scope),
            }
            LOG.info("request", extra={"fields": fields})


class Observer:
    """Middleware around the whole application; `write` gives an error the shape that its path wants.

    A request that came in by `serving.door` has its record from there.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts, turns: Turns, *, write: ErrorWriter) -> None:
        self._app = app
        self._accounts = accounts
        self._turns = turns
        self._write = write

    def _begin(self, scope: Scope) -> RequestRecord:
        record = known_record(scope) or self._accounts.begin(scope)
        if record.place:
            self._turns.begin(record.place, perf_counter() - record.started_at)
        return record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = self._begin(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message).update(record.all_headers())
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            if not record.status:
                record.error_code = NotReadyError.code
                await self._write(_cut_off(), scope["path"])(scope, receive, send_with_id)
            raise
        except Exception as error:  # noqa: BLE001 - the last net: anything at all must end as the error shape
            fields = {
                "request_id": record.request_id,
                "trace_id": trace_id_of(scope),
                "route": _route_of(scope),
                **fault_of(error),
            }
            LOG.error("unexpected_error", extra={"fields": fields})
            if not record.status:
                record.error_code = InternalError.code
                await self._write(InternalError(), scope["path"])(scope, receive, send_with_id)
        finally:
            self._accounts.end(record, scope)
