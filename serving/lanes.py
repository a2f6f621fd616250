"""Who runs next, and who is let in: three lanes of waiting tasks and the gate before them. No threads, no model.

A task is one inference; a ticket is one request and the tasks whose outcomes it waits for, its own or those that
another request brought.

- Interactive tasks go before bulk ones, in the order of their coming. After `BULK_TURN` of them in a row one bulk task
  goes first where any waits, but never before an interactive task that has had a bulk task before it since it came: so
  an interactive task waits for at most one bulk inference, and bulk moves on as long as the interactive lane does.
- Shadow tasks run where nothing else waits and another worker is left to take what comes. Where there is one worker
  alone, what comes may wait for one shadow task.
- A request that cannot be done by its deadline is refused whole: going by the seconds its tasks should take, by what is
  before them and, where all workers are busy, by how long an outcome takes to reach its request. Where nothing has run
  for `STALE_S` those seconds are old, and an idle server tries all the same.
- A task whose deadline passed while it waited, or that nobody waits for any more, is never run.

Not safe between threads: `serving.scheduler` holds a lock around it. Times are seconds of one clock, handed in.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Generic, Literal, TypeVar

Outcome_co = TypeVar("Outcome_co", covariant=True)
Unrun = Literal["expired", "abandoned"]
"""Why a task that was let in never ran."""

BULK_TURN = 16
"""Interactive tasks in a row after which bulk has a turn: at most one post in seventeen where both lanes are full."""
CAUTION = 1.1
"""The wait is taken to be so many times what it should be: under overload an answer a moment late is work for nothing,
and a refusal costs nothing, since another post takes the place."""
HANDOVERS = 2
"""A request waits for the event loop when it comes and when its posts are done, both about as long."""
_HANDOVER_RISES, _HANDOVER_FALLS = 0.3, 0.02
"""What of the distance to a longer and to a shorter handover is gone at once: so nine in ten are no longer than that
(an expectile), since an answer that is a moment late is as good as none."""
STALE_S = 1.0
"""One request a second is little to lose, and enough to learn that a machine has become fast again."""


class Lane(IntEnum):
    """The lanes, best first."""

    INTERACTIVE = 0
    BULK = 1
    SHADOW = 2


class State(Enum):
    """How far a task has come."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    UNRUN = "unrun"


class RefusedError(Exception):
    """A ticket that was not let in, and why, in words. After `retry_after_s` it would be, if nothing else came."""

    def __init__(self, why: str, retry_after_s: int) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


def _ignore(seconds: float) -> None:
    """Observes nothing."""


@dataclass(slots=True, eq=False)
class Task(Generic[Outcome_co]):
    """One piece of work of some `seconds`. `took` is told, on the worker's thread, how many it really took."""

    work: Callable[[], Outcome_co]
    seconds: float
    took: Callable[[float], None] = _ignore
    state: State = State.NEW
    lane: Lane = Lane.SHADOW
    deadline_s: float = -math.inf
    begun_s: float = math.nan
    done_s: float = math.nan
    error: Exception | None = None
    tickets: list["Ticket"] = field(default_factory=list)
    _found: list[Outcome_co] = field(default_factory=list)

    def run(self) -> None:
        """Nothing; works, and keeps the outcome or the error."""
        try:
            self._found.append(self.work())
        except Exception as error:  # noqa: BLE001 - raised again where the outcome is asked for
            self.error = error

    def outcome(self) -> Outcome_co:
        """What the work of a done task has found; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self._found[0]


@dataclass(slots=True, eq=False)
class Ticket:
    """A request. `wake` is called on a worker's thread when all its tasks are done, and when one of them has failed."""

    tasks: Sequence[Task[Any]]
    lane: Lane
    deadline_s: float
    wake: Callable[[], None]
    unfinished: int = 0


@dataclass(slots=True)
class _Waiting:
    """The tasks of one lane in order, each with its number, and the seconds they should take together."""

    tasks: OrderedDict[Task[Any], int] = field(default_factory=OrderedDict)
    seconds: float = 0.0

    def add(self, task: Task[Any], number: int) -> None:
        self.tasks[task] = number
        self.seconds += task.seconds

    def remove(self, task: Task[Any]) -> None:
        del self.tasks[task]
        self.seconds = self.seconds - task.seconds if self.tasks else 0.0  # nothing of the rounding is left behind

    def first(self) -> Task[Any]:
        return next(iter(self.tasks))

    def first_number(self) -> int:
        return next(iter(self.tasks.values()))


def level(busy_s: Sequence[float], seconds: float) -> float:
    """The time by which workers, each busy until one of `busy_s`, have done `seconds` of work more between them."""
    times = sorted(busy_s)
    filled_s = 0.0  # the work that fits below `times[free]` on the workers before it
    for free in range(1, len(times)):
        more_s = (times[free] - times[free - 1]) * free
        if filled_s + more_s >= seconds:
            return times[free - 1] + (seconds - filled_s) / free
        filled_s += more_s
    return times[-1] + (seconds - filled_s) / len(times)


class Lanes:
    """The tasks that wait and those that run on `workers` workers; at most `queue_posts` are waited for at a time."""

    def __init__(self, *, workers: int, queue_posts: int, now: float, unrun: Callable[[Unrun], None]) -> None:
        self.posts_in_work = 0
        self.closed = False
        self.handover_s = 0.0
        self._workers = workers
        self._queue_posts = queue_posts
        self._unrun = unrun
        self._waiting = {lane: _Waiting() for lane in Lane}
        self._running: dict[Task[Any], None] = {}
        self._last_done_s = now
        self._came = 0
        self._behind_bulk = 0
        self._in_a_row = 0

    def waiting(self, lane: Lane) -> int:
        """How many tasks wait in a lane."""
        return len(self._waiting[lane].tasks)

    @property
    def running(self) -> tuple[Task[Any], ...]:
        """The tasks that run."""
        return tuple(self._running)

    @property
    def crowded(self) -> bool:
        """True where what comes now must wait for a worker."""
        return len(self._running) >= self._workers

    def observe_handover(self, seconds: float) -> None:
        """Nothing; learns how long a request waited to be told that its tasks are done."""
        rate = _HANDOVER_RISES if seconds > self.handover_s else _HANDOVER_FALLS
        self.handover_s += rate * (seconds - self.handover_s)

    def _busy_s(self, now: float) -> list[float]:
        left = [max(0.0, task.begun_s + task.seconds - now) for task in self._running]
        return left + [0.0] * (self._workers - len(left))

    def ready_in_s(self, lane: Lane, tasks: Sequence[Task[Any]], now: float) -> float:
        """Seconds after which `tasks` should be done if they came into `lane` now."""
        ahead_s = sum(self._waiting[before].seconds for before in Lane if before <= lane)
        busy_s = self._busy_s(now)
        begun_s = CAUTION * level(busy_s, ahead_s)
        all_s = CAUTION * level(busy_s, ahead_s + sum(task.seconds for task in tasks))
        longest_s = max(task.seconds for task in tasks)
        return max(begun_s + longest_s, all_s if len(tasks) > 1 else 0.0)

    def check(self, lane: Lane, tasks: Sequence[Task[Any]], *, posts: int, deadline_s: float, now: float) -> None:
        """Nothing; where these new tasks may come in, for a request that waits for `posts` in all.

        Raises:
            RefusedError: when they may not.
        """
        if self.closed:
            raise RefusedError("the server stops", 1)
        over = self.posts_in_work + posts - self._queue_posts
        if over > 0:
            all_s = level(self._busy_s(now), sum(waiting.seconds for waiting in self._waiting.values()))
            raise RefusedError(
                f"{self.posts_in_work} posts are in work. Allowed: {self._queue_posts} at a time",
                max(1, math.ceil(all_s * min(1.0, over / max(1, self.posts_in_work)))),
            )
        stale = now - self._last_done_s >= STALE_S and not self._running and not self.posts_in_work
        if tasks and not stale:
            handover_s = HANDOVERS * self.handover_s if self.crowded else 0.0
            late_s = self.ready_in_s(lane, tasks, now) + handover_s - (deadline_s - now)
            if late_s > 0:
                raise RefusedError(
                    f"going by what is before it, it would be done {math.ceil(late_s * 1_000)} ms after its deadline",
                    max(1, math.ceil(late_s)),
                )

    def submit(self, ticket: Ticket, now: float) -> int:
        """How many tasks have come to wait; those of others are joined, and moved up where this lane is better.

        Raises:
            RefusedError: when there is no room for all, or they cannot all be done by the deadline.
        """
        unfinished = [task for task in dict.fromkeys(ticket.tasks) if task.state is not State.DONE]
        coming = [
            task
            for task in unfinished
            if task.state in (State.NEW, State.UNRUN) or (task.state is State.WAITING and task.lane > ticket.lane)
        ]
        self.check(ticket.lane, coming, posts=len(unfinished), deadline_s=ticket.deadline_s, now=now)
        ticket.unfinished = len(unfinished)
        self.posts_in_work += len(unfinished)
        for task in unfinished:
            task.tickets.append(ticket)
            task.deadline_s = max(task.deadline_s, ticket.deadline_s)
        self.add(coming, ticket.lane)
        return len(coming)

    def add(self, tasks: Sequence[Task[Any]], lane: Lane) -> None:
        """Nothing; lets tasks in without a gate."""
        for task in tasks:
            if task.state is State.WAITING:
                self._waiting[task.lane].remove(task)
            self._came += 1
            task.lane, task.state = lane, State.WAITING
            self._waiting[lane].add(task, self._came)
        if lane is Lane.INTERACTIVE and any(task.lane is Lane.BULK for task in self._running):
            self._behind_bulk = self._came

    def _next_lane(self) -> Lane | None:
        interactive, bulk = self._waiting[Lane.INTERACTIVE], self._waiting[Lane.BULK]
        if interactive.tasks:
            turn = self._in_a_row >= BULK_TURN and interactive.first_number() > self._behind_bulk
            return Lane.BULK if bulk.tasks and turn else Lane.INTERACTIVE
        if bulk.tasks:
            return Lane.BULK
        spare = len(self._running) <= self._workers - 2 or self._workers == 1
        return Lane.SHADOW if self._waiting[Lane.SHADOW].tasks and spare and not self.closed else None

    def take(self, now: float) -> Task[Any] | None:
        """The task that runs next, or `None` where none should; what has expired is dropped on the way."""
        while (lane := self._next_lane()) is not None:
            task = self._waiting[lane].first()
            if task.deadline_s <= now and lane is not Lane.SHADOW:
                self._drop(task, "expired")
                continue
            self._waiting[lane].remove(task)
            if lane is Lane.BULK:
                self._in_a_row, self._behind_bulk = 0, self._came
            elif lane is Lane.INTERACTIVE and self._waiting[Lane.BULK].tasks:
                self._in_a_row += 1
            task.state, task.begun_s = State.RUNNING, now
            self._running[task] = None
            return task
        return None

    def finish(self, task: Task[Any], now: float) -> list[Ticket]:
        """The tickets to wake now that a task has run."""
        del self._running[task]
        task.state, task.done_s, self._last_done_s = State.DONE, now, now
        woken = []
        for ticket in task.tickets:
            ticket.unfinished -= 1
            self.posts_in_work -= 1
            if not ticket.unfinished or task.error is not None:
                woken.append(ticket)
        task.tickets.clear()
        return woken

    def leave(self, ticket: Ticket, why: Unrun) -> None:
        """Nothing; a ticket waits no longer, and what nobody else waits for is not run. May be said twice."""
        self.posts_in_work -= ticket.unfinished
        ticket.unfinished = 0
        for task in dict.fromkeys(ticket.tasks):
            if ticket in task.tickets:
                task.tickets.remove(ticket)
                if not task.tickets and task.state is State.WAITING:
                    self._drop(task, why)

    def _drop(self, task: Task[Any], why: Unrun) -> None:
        self._waiting[task.lane].remove(task)
        task.state = State.UNRUN
        self._unrun(why)
