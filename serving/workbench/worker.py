"""The one thread on which the pages compute. Owns that no page ever holds up the event loop that answers posts.

One, so that however many people look at reports, predict answers lose at most the interpreter's turns to one of them.
It steps back behind the threads that infer. Long work is handed over in short pieces, so that a page is not kept
waiting for a whole scoring.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, ParamSpec, TypeVar

from serving.cores import step_back

Given = ParamSpec("Given")
Made = TypeVar("Made")
NICENESS = 19
"""As far back as there is: threads that infer have 10 (`serving.scheduler`). Measured in docs/decisions/0036."""
TURN_S = 0.05
"""How long work in steps keeps the thread before others have their turn: nobody notices a page so much later."""


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


class Worker:
    """Runs functions in order, one at a time. Starts its thread when first needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            1, thread_name_prefix="workbench", initializer=step_back, initargs=(NICENESS,)
        )

    async def run(self, function: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """What `function` returns, once it was its turn; raises what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

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
        self._threads.shutdown(wait=False, cancel_futures=True)
