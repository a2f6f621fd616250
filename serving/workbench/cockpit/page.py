"""The addresses of the cockpit: the page, its stream of events, the brake by hand, and the posts of a cluster.

The stream says everything in events, its own end too: a browser is not told why a stream that it asked for was refused.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from time import perf_counter
from urllib.parse import quote

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Send

from serving.journal.brake import MOST_CHARACTERS, BrakeStepError, Event, move_brake
from serving.journal.filter import Filter
from serving.journal.queries import page_of_posts
from serving.observer import record_of
from serving.workbench.access import SignInError
from serving.workbench.cockpit.broadcast import MOST_WATCHERS, Broadcast, Frame, FullError
from serving.workbench.cockpit.ledger import SPANS
from serving.workbench.cockpit.rounds import Rounds
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/cockpit"
DEFAULT_SPAN = "hour"
RETRY_MS = 3_000
"""After which a browser asks for a stream that broke again; the server's start takes about as long."""
_UNBUFFERED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"}
"""So that nginx hands each event on, and no proxy keeps or compresses it."""
_STEPS: Mapping[str, Event] = {"hold": "engaged", "release": "released"}
_CLUSTER = re.compile(r"[0-9a-f]{16}")
_AFTER = re.compile(r"\d{1,16}\.[0-9A-Z]{26}")
_SIGNED_OUT = "you are not signed in any more. Load the page again"
_FULL = f"{MOST_WATCHERS} pages are watching already. Close one of them"


class _Closing(EventSourceResponse):
    """A stream whose watching ends with its connection, and not when somebody clears up."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(events, headers=_UNBUFFERED)
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Sends until there is nothing more or nobody is there."""
        async with aclosing(self._events):
            await super().stream_response(send)


def _event(name: str, data: object) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data, ensure_ascii=False))


class CockpitPages:
    """The pages over the rounds, the journal and the brake; `broadcast` has who watches."""

    def __init__(self, desk: Desk, rounds: Rounds) -> None:
        self._desk = desk
        self._rounds = rounds
        self.broadcast = Broadcast(rounds.make, ended=lambda: desk.bench.service.state == "draining")

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/stream", self.stream),
            Route(f"{PATH}/brake", readers(self.move), methods=["POST"]),
            Route(f"{PATH}/clusters/{{name}}", readers(self.cluster)),
        ]

    async def show(self, visit: Visit) -> Response:
        """The page as of now; what changes later comes by the stream."""
        name = visit.query.get("span", DEFAULT_SPAN)
        if name not in SPANS:
            raise HTTPException(
                404, f"There is no span {name[:20]!r}. Wanted: one of {', '.join(SPANS)}. Choose it on the page."
            )
        page = self._desk.pages.show(
            visit.request,
            "cockpit.html.j2",
            visit.reader,
            spans=SPANS.values(),
            span=SPANS[name],
            parts=await self._rounds.parts(name),
            most_characters=MOST_CHARACTERS,
        )
        page.background = BackgroundTask(self._rounds.prepare)
        return page

    async def stream(self, request: Request) -> Response:
        """The changing parts of the page, as events: `round`, `beat`, and `full` or `ended` before it closes."""
        self._desk.gate.check_place(request)
        span = request.query_params.get("span", DEFAULT_SPAN)
        record_of(request).answered_at = perf_counter()  # how long somebody watched is no latency
        return _Closing(self._events(request, span if span in SPANS else DEFAULT_SPAN))

    async def _events(self, request: Request, span: str) -> AsyncGenerator[bytes]:
        yield format_sse_event(retry=RETRY_MS)
        seen, gate = -1, self._desk.gate
        try:
            gate.reader(gate.sessions.read(request))
            async with aclosing(self.broadcast.watch(span)) as frames:
                async for frame in frames:
                    gate.reader(gate.sessions.read(request))  # sessions end, and keys are withdrawn, while one watches
                    yield _event("beat", None) if frame is None else _round(frame, seen)
                    seen = frame.number if frame else seen
        except SignInError as error:
            yield _event("ended", error.message or _SIGNED_OUT)
        except FullError:
            yield _event("full", _FULL)

    async def move(self, visit: Visit) -> Response:
        """Holds the brake, or lets it go: at once on this server, within some seconds on the others."""
        event, brake = _STEPS.get(visit.form.get("step", "")), self._desk.bench.brake
        if event is None:
            raise HTTPException(
                409,
                "The crisis brake was not moved: the form is none of this page. Wanted: the page's own form, which "
                "holds it or lets it go. Load the page again.",
            )
        why, by = visit.form.get("why", ""), visit.reader.name
        try:
            await self._desk.write(partial(move_brake, event=event, why=why, by=by))
        except BrakeStepError as error:
            raise HTTPException(409, str(error)) from None
        await self._desk.worker.run(brake.look)
        span = visit.form.get("span", DEFAULT_SPAN)
        return RedirectResponse(f"{PATH}?span={quote(span)}#brake", 303)

    async def cluster(self, visit: Visit) -> Response:
        """The posts of a cluster, the newest first."""
        name, after = visit.request.path_params["name"], visit.query.get("after")
        if not _CLUSTER.fullmatch(name) or (after is not None and not _AFTER.fullmatch(after)):
            raise HTTPException(404, "There is no such cluster. Wanted: one of the cockpit's. Choose it there.")
        page = await self._desk.read(partial(page_of_posts, wanted=Filter(cluster=name), after=after))
        return self._desk.pages.show(visit.request, "cockpit-cluster.html.j2", visit.reader, name=name, page=page)


def _round(frame: Frame, seen: int) -> bytes:
    """The parts that are new since a frame."""
    new = {"at": frame.at.isoformat(), "problem": frame.problem, "parts": frame.since(seen)}
    return _event("round", new)
