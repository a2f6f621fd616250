"""The one thread on which the pages compute. Owns that no page ever holds up the event loop that answers posts.

One, so that however many people look at reports, predict answers lose at most the interpreter's turns to one of them.
It steps back behind the threads that infer. Long work is handed over in short pieces, so that a page is not kept
waiting for a whole scoring; and what nobody waits for, aside, comes after the pages.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import Empty, PriorityQueue
from time import perf_counter, sleep
from typing import Generic, ParamSpec, TypeVar

from serving.cores import step_back

Given = ParamSpec("Given")
Made = TypeVar("Made")
NICENESS = 19
"""As far back as there is: threads that infer have 10 (`serving.scheduler`). Measured in docs/decisions/0036."""
TURN_S = 0.05
"""How long work in steps keeps the thread before others have their turn: nobody notices a page so much later."""
_PAUSE_S = 0.005
"""How long the thread waits for a page before it begins a turn aside: a page that has had one turn asks for its next
through the event loop, which takes less than this, and would else wait for a turn aside between any two of its own."""
PATIENCE_S = 0.5
"""How long a turn of work aside lets the pages go first: without an end it would stand still while they are many. Most
pages work less than that (docs/workbench.md), so that one waits for one such turn at most."""


@dataclass(frozen=True, slots=True)
class _Ended(Generic[Made]):
    """What steps came to."""

    made: Made


def _advance(steps: Generator[None, None, Made]) -> _Ended[Made] | None:
    """What they came to, `None` where they have not ended within a turn."""
    until_s = perf_counter() + TURN_S
    try:
        next(steps)
        while perf_counter() < until_s:
            next(steps)
    except StopIteration as end:
        return _Ended(end.value)
    return None


def _tell(told: Future[Made], function: Callable[[], Made]) -> None:
    """Nothing; the function has run, unless nobody wants it any more, and `told` has what came of it."""
    if not told.set_running_or_notify_cancel():
        return
    try:
        told.set_result(function())
    except BaseException as error:  # noqa: BLE001 - whatever it is, who waits is told
        told.set_exception(error)


@dataclass(frozen=True, slots=True, order=True)
class _Turn:
    """Work that waits for the thread; of two that are due at once the one that came first goes first."""

    due_s: float
    number: int
    take: Callable[[], None] = field(compare=False)
    give_up: Callable[[], bool] = field(compare=False)


class _Line:
    """Turns on one thread, the one that is due first first. Starts its thread when first needed."""

    def __init__(self) -> None:
        self._waiting: PriorityQueue[_Turn] = PriorityQueue()
        self._numbers = count()
        self._threads = ThreadPoolExecutor(
            1, thread_name_prefix="workbench", initializer=step_back, initargs=(NICENESS,)
        )

    def enter(self, function: Callable[[], Made], due_s: float) -> Future[Made]:
        """What `function` returns or raises, once no other turn is due before."""
        told: Future[Made] = Future()
        self._waiting.put(_Turn(due_s, next(self._numbers), partial(_tell, told, function), told.cancel))
        self._threads.submit(self._take_first)
        return told

    def _take_first(self) -> None:
        with suppress(Empty):  # given up by `close`
            first = self._waiting.get_nowait()
            if first.due_s > perf_counter():
                sleep(_PAUSE_S)
                self._waiting.put(first)
                first = self._waiting.get_nowait()
            first.take()

    def close(self) -> None:
        """Nothing; what waits is not begun, and nothing is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with suppress(Empty):
            while True:
                self._waiting.get_nowait().give_up()


class Worker:
    """Runs functions one at a time, those first that somebody waits for, in order."""

    def __init__(self, line: _Line | None = None, patience_s: float = 0.0) -> None:
        self._line = line or _Line()
        self._patience_s = patience_s

    @property
    def aside(self) -> "Worker":
        """The same thread for what nobody waits for: a page goes first, for some time."""
        return Worker(self._line, PATIENCE_S)

    async def run(self, function: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """What `function` returns, once it was its turn; raises what it raises."""
        due_s = perf_counter() + self._patience_s
        return await asyncio.wrap_future(self._line.enter(lambda: function(*args, **kwargs), due_s))

    async def run_in_turns(self, steps: Generator[None, None, Made]) -> Made:
        """What `steps` come to; whatever else is to be run comes in between. Raises what they raise."""
        while (ended := await self.run(_advance, steps)) is None:
            pass
        return ended.made

    @staticmethod
    def keep_alone() -> None:
        """Nothing; numpy and SciPy, as far as they are loaded, compute on the thread that asks them from now on.

        Else their algebra would start threads of its own, which answers would have to wait for, and which wait for
        each other on a machine that has other work (docs/decisions/0036).
        """
        from threadpoolctl import threadpool_limits  # comes with scikit-learn, so with the group of the pages

        threadpool_limits(1)

    def close(self) -> None:
        """Nothing; what waits is not begun, and nothing is waited for."""
        self._line.close()
