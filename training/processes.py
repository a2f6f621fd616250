"""Long pieces of work side by side, each in a process of its own, watched as one.

A small network leaves two threads waiting for each other; two processes with one thread each do a quarter to a half
more in the same time (`training/LOG.md`). Processes are spawned, never forked: torch's threads do not survive a fork.
A process whose parent has gone, `kill -9` included, ends at its next step, so that no two ever write one checkpoint.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

import torch

from data.progress import Item, Watch
from training.errors import WorkLostError

Result = TypeVar("Result")
Work = Callable[[Watch], Result]
"""A piece of work that can be pickled; it shows each step that it begins to the watch that it is given."""
_STEP = b"step"


@dataclass(frozen=True, slots=True)
class _Over(Generic[Result]):
    """The last word of a process."""

    result: Result | None = None
    error: Exception | None = None


def _work(work: Work[Result], parent: Connection, threads: int) -> None:
    def tell_parent(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:  # noqa: ARG001 (a port)
        for item in items:
            parent.send(_STEP)  # raises where the parent has gone, which ends this process
            yield item

    torch.set_num_threads(threads)
    try:
        over = _Over(result=work(tell_parent))
    except BrokenPipeError:
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        over = _Over(error=error)
    parent.send(over)


class _Processes(Generic[Result]):
    """The running processes and what the finished ones came to."""

    def __init__(self, pieces: Sequence[Work[Result]], at_a_time: int) -> None:
        self._waiting = list(enumerate(pieces))
        self._at_a_time = at_a_time
        self._running: dict[Connection, tuple[int, SpawnProcess]] = {}
        self.results: dict[int, Result] = {}

    def _start(self, number: int, piece: Work[Result]) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        threads = max(1, torch.get_num_threads() // self._at_a_time)
        process = context.Process(target=_work, args=(piece, there, threads))
        process.start()
        there.close()  # the process has the only other end: it hears when this one is gone, and this one when it is
        self._running[here] = (number, process)

    def _hear(self, connection: Connection) -> bool:
        """True for a step; a last word is kept."""
        number, process = self._running[connection]
        try:
            said = connection.recv()
        except EOFError:
            process.join()
            raise WorkLostError(
                f"Piece {number + 1} of the work ended without a word, exit code {process.exitcode}. Wanted: its "
                "result. See whether memory ran out; the same command goes on from the last checkpoint."
            ) from None
        if said == _STEP:
            return True
        if said.error is not None:
            raise said.error
        self.results[number] = said.result
        del self._running[connection]
        process.join()
        return False

    def steps(self) -> Iterator[None]:
        """One item for each step of any process, until all are over."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._at_a_time:
                self._start(*self._waiting.pop(0))
            for connection in wait(list(self._running)):
                if isinstance(connection, Connection) and self._hear(connection):
                    yield None

    def stop(self) -> None:
        """Ends what still runs at its next step, and waits for that."""
        for connection, (_, process) in self._running.items():
            connection.close()
            process.join()


def work_side_by_side(
    pieces: Sequence[Work[Result]], *, processes: int, watch: Watch, what: str, total: int
) -> list[Result]:
    """What each piece came to, in order; torch's threads are shared out among `processes` at a time, one bar shows all.

    Raises:
        WorkLostError: when a process ended without a word.
        Exception: what the first failing piece raised. The others are stopped at their next step.
    """
    work = _Processes(pieces, processes)
    try:
        for _ in watch(work.steps(), what, total):
            pass
    finally:
        work.stop()
    return [work.results[number] for number in range(len(pieces))]
