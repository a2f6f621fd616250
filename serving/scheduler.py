"""Worker threads that run what the lanes give them, one task at a time each. Knows no model and no HTTP.

A free worker takes what waits now; an idle one blocks on a condition, without poll, sleep or timer. Posts run alone and
without padding (`docs/decisions/0002`), so nothing waits for a batch to fill and no padding is wasted.
"""

from collections.abc import Callable, Sequence
from threading import Condition, Thread
from time import monotonic
from typing import Any

from serving.cores import step_back
from serving.lanes import Lane, Lanes, Task, Ticket, Unrun

Clock = Callable[[], float]


NICENESS = 10
"""A tenth of the weight of the thread that talks to clients, where both want the same core: a request that has just
come, or must be refused, takes a tenth of a millisecond and does not wait for the tens that an inference takes
(`docs/decisions/0017`)."""


def _ignore(why: Unrun) -> None:
    """Observes nothing."""


class Scheduler:
    """Runs tasks on `workers` threads, started with the first task; lets in at most `queue_posts` at a time.

    Every method may be called from any thread; deadlines are times of `clock`. `unrun` is told of every task that was
    let in and never ran.
    """

    def __init__(
        self, *, workers: int, queue_posts: int, clock: Clock = monotonic, unrun: Callable[[Unrun], None] = _ignore
    ) -> None:
        self.clock = clock
        self._workers = workers
        self._lanes = Lanes(workers=workers, queue_posts=queue_posts, now=clock(), unrun=unrun)
        self._changed = Condition()
        self._threads: list[Thread] = []

    @property
    def posts_in_work(self) -> int:
        """Posts that requests wait for."""
        return self._lanes.posts_in_work

    @property
    def crowded(self) -> bool:
        """True where what comes now must wait for a worker."""
        return self._lanes.crowded

    def observe_handover(self, seconds: float) -> None:
        """Nothing; learns how long a request waited to be told that its tasks are done."""
        with self._changed:
            self._lanes.observe_handover(seconds)

    def waiting(self, lane: Lane) -> int:
        """How many tasks wait in a lane."""
        return self._lanes.waiting(lane)

    def check(self, lane: Lane, *, seconds: float, deadline_s: float) -> None:
        """Nothing; where one more task of `seconds` would be let in.

        Raises:
            RefusedError: when it would not.
        """
        task = Task(lambda: None, seconds)
        with self._changed:
            self._lanes.check(lane, [task], posts=1, deadline_s=deadline_s, now=self.clock())

    def submit(self, ticket: Ticket) -> None:
        """Nothing; the ticket's tasks will run, or be joined where they already do.

        Raises:
            RefusedError: when there is no room for all, or they cannot all be done by the deadline.
        """
        with self._changed:
            self._call_workers(self._lanes.submit(ticket, self.clock()))

    def shadow(self, tasks: Sequence[Task[Any]], *, most: int) -> bool:
        """True where the tasks will run when there is nothing better to do; false where more than `most` would wait."""
        with self._changed:
            if self._lanes.closed or self._lanes.waiting(Lane.SHADOW) + len(tasks) > most:
                return False
            self._lanes.add(tasks, Lane.SHADOW)
            self._call_workers(len(tasks))
            return True

    def leave(self, ticket: Ticket, why: Unrun) -> None:
        """Nothing; a ticket waits no longer, and what nobody else waits for is not run. May be called twice."""
        with self._changed:
            self._lanes.leave(ticket, why)

    def _call_workers(self, tasks: int) -> None:
        if tasks and not self._threads:
            self._threads = [
                Thread(target=self._work, name=f"predict-{number}", daemon=True) for number in range(self._workers)
            ]
            for thread in self._threads:
                thread.start()
        self._changed.notify(tasks)

    def _take(self) -> Task[Any] | None:
        """The next task, `None` when the scheduler has closed and nothing is left."""
        with self._changed:
            while (task := self._lanes.take(self.clock())) is None and not self._lanes.closed:
                self._changed.wait()
            return task

    def _work(self) -> None:
        step_back(NICENESS)
        while (task := self._take()) is not None:
            self._run(task)
            del task  # or a worker with nothing to do would keep a model in memory that is no longer in service

    def _run(self, task: Task[Any]) -> None:
        task.run()
        with self._changed:
            woken = self._lanes.finish(task, self.clock())
        for ticket in woken:
            ticket.wake()
        task.took(task.done_s - task.begun_s)

    def close(self) -> None:
        """Nothing; from now on nothing is let in. Returns when all that was let in has run, but for shadow tasks."""
        with self._changed:
            self._lanes.closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
