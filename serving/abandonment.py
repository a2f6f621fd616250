"""Whether the client still waits: a request whose client has gone is not run to its end.

ASGI tells it by `http.disconnect`, which `receive` gives once the body was read and the connection is lost. Asking for
it takes nothing from the next request of the same connection: the server hands that one its own `receive`.
"""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

from serving.errors import ClientGoneError


class WhileConnected:
    """A block that is cancelled, and ends in `ClientGoneError`, when the client goes. The body must be read before."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    async def _watch(self, task: "asyncio.Task[object]") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("The client was to be watched outside of any task. Wanted: a task, as for each request.")
        self._task, self._cancelling = task, task.cancelling()
        self._watcher = asyncio.create_task(self._watch(task))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watcher.cancel()
        if self._gone and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientGoneError(
                "The request was given up: its client went away. Wanted: one that waits for the answer. What had not "
                "begun was not run; send it again where an answer is still wanted."
            ) from None
