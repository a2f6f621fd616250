"""One round of figures for all who watch. Owns that nothing is computed while nobody does, and that watching ends.

Lives on the event loop and computes nothing itself: `make` hands the work to the pages' own thread. A watcher is
handed the newest frame and none twice; who reads slowly misses frames and holds up nobody.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

ROUND_S = 5.0
"""As often as the crisis brake looks; a round at 100,000 decisions takes a hundredth of it."""
BEAT_S = 10.0
"""After so long without a frame a watcher is told that the server is there: proxies close what is silent for 30 s."""
MOST_WATCHERS = 32
"""Each holds a connection open, of 1,000; they share the rounds."""
_TICK_S = 0.25
"""How soon the end of the server, or of the last watcher, is seen: far within the seconds that a stop waits."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts of a page by name as of `at`, each with the round in which it last changed.

    Where a round failed, `problem` says why, and the parts are those of the round before.
    """

    at: datetime
    number: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    def since(self, number: int) -> dict[str, str]:
        """The parts that are new to who has seen the frame of that number."""
        return {name: part for name, part in self.parts.items() if self.changed[name] > number}


Make = Callable[[Collection[str]], Awaitable[Mapping[str, Mapping[str, str]]]]
"""The parts of each page that is asked for; raises `RoundError` where they cannot be had now."""


class RoundError(Exception):
    """There are no figures in this round. `str()` says why, in words for the page."""


class FullError(Exception):
    """So many watch that nobody else may."""


class Broadcast:
    """Frames for watchers of pages. `ended` says when all watching is over."""

    def __init__(self, make: Make, *, ended: Callable[[], bool]) -> None:
        self._make = make
        self._ended = ended
        self._watched: Counter[str] = Counter()
        self._frames: dict[str, Frame] = {}
        self._number = 0
        self._turn = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def watching(self) -> int:
        """How many watch."""
        return self._watched.total()

    async def watch(self, page: str) -> AsyncGenerator[Frame | None]:
        """Each new frame of a page; `None` where none came for a while. Ends with the server.

        Raises:
            FullError: when too many watch already.
        """
        if self.watching >= MOST_WATCHERS:
            raise FullError
        self._watched[page] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        seen = -1
        try:
            while not self._ended():
                turn, frame = self._turn, self._frames.get(page)
                if frame is not None and frame.number > seen:
                    seen = frame.number
                    yield frame
                    continue
                try:
                    async with asyncio.timeout(BEAT_S):
                        await turn.wait()
                except TimeoutError:
                    yield None
        finally:
            self._watched[page] -= 1

    def _wake(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()

    async def _run(self) -> None:
        """Round after round, until nobody watches or the server ends; then nothing is kept."""
        loop = asyncio.get_running_loop()
        while self.watching and not self._ended():
            next_s = loop.time() + ROUND_S
            await self._round()
            self._wake()
            while self.watching and not self._ended() and loop.time() < next_s:
                await asyncio.sleep(_TICK_S)
        self._frames.clear()
        self._wake()

    async def _round(self) -> None:
        pages = [page for page, watchers in self._watched.items() if watchers]
        self._frames = {page: self._frames[page] for page in pages if page in self._frames}
        self._number += 1
        at = datetime.now(UTC)
        try:
            made = await self._make(pages)
        except RoundError as error:
            for page in pages:
                known = self._frames.get(page, Frame(at))
                self._frames[page] = Frame(at, self._number, known.parts, known.changed, str(error))
        else:
            for page, parts in made.items():
                self._frames[page] = self._changed(self._frames.get(page, Frame(at)), at, parts)

    def _changed(self, before: Frame, at: datetime, parts: Mapping[str, str]) -> Frame:
        same = {name for name, part in parts.items() if before.parts.get(name) == part}
        changed = {name: before.changed[name] if name in same else self._number for name in parts}
        return Frame(at, self._number, parts, changed)
