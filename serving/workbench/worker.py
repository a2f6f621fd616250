"""The one thread on which the pages compute. Owns that no page ever holds up the event loop that answers posts.

One, so that however many people look at reports, predict answers lose at most the interpreter's turns to one of them.
Long work is handed over in short pieces, so that a page is not kept waiting for a whole scoring.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Worker:
    """Runs functions in order, one at a time. Starts its thread when first needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="workbench")

    async def run(self, function: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
        """What `function` returns, once it was its turn; raises what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Nothing; what waits is not begun, and nothing is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
