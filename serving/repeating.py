"""A function that is called again and again on a thread of its own, and what stands where there is none."""

from collections.abc import Callable
from threading import Event, Thread

from serving.cores import step_back


class Repeated:
    """Calls `function`, which must not raise, at once and then every so many seconds, from `start` to `close`.

    With a `niceness` its thread lets those of a lower one run first.
    """

    def __init__(self, function: Callable[[], None], *, every_s: float, name: str, niceness: int | None = None) -> None:
        self._function = function
        self._every_s = every_s
        self._niceness = niceness
        self._closing = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Nothing; from now on it is called."""
        self._thread.start()

    def close(self) -> None:
        """Nothing; returns once it is not being called any more. One that was never started is closed, too."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        if self._niceness is not None:
            step_back(self._niceness)
        self._function()
        while not self._closing.wait(self._every_s):
            self._function()


class Idle:
    """What is never repeated: without a journal there is nothing to look at."""

    def look(self) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
