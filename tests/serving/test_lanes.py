"""Who runs next and who is let in, driven by events and a clock of our own: no thread, no time passes by itself."""

import math
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.lanes import (
    BULK_TURN,
    CAUTION,
    HANDOVERS,
    STALE_S,
    Lane,
    Lanes,
    RefusedError,
    State,
    Task,
    Ticket,
    Unrun,
    level,
)

LATE_S = 1_000.0


@dataclass
class Bench:
    """Lanes with a clock that moves when it is told to, and what was told of tasks that never ran."""

    workers: int = 1
    queue_posts: int = 100
    now: float = 0.0
    unrun: list[Unrun] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lanes = Lanes(workers=self.workers, queue_posts=self.queue_posts, now=0.0, unrun=self.unrun.append)

    def submit(self, *tasks: Task[str], lane: Lane = Lane.INTERACTIVE, within_s: float = LATE_S) -> Ticket:
        ticket = Ticket(tasks, lane, self.now + within_s, wake=lambda: None)
        self.lanes.submit(ticket, self.now)
        return ticket

    def take(self) -> Task[str] | None:
        return self.lanes.take(self.now)

    def run(self, seconds: float | None = None) -> Task[str]:
        """Takes the next task and runs it on the only worker."""
        task = self.take()
        assert task is not None
        self.now += task.seconds if seconds is None else seconds
        task.run()
        self.lanes.finish(task, self.now)
        return task


def task(name: str = "", seconds: float = 1.0) -> Task[str]:
    return Task(lambda: name, seconds)


def tasks(count: int, seconds: float = 1.0) -> list[Task[str]]:
    return [task(str(number), seconds) for number in range(count)]


def test_tasks_of_a_lane_run_in_the_order_of_their_coming() -> None:
    bench, came = Bench(), tasks(5)
    for each in came:
        bench.submit(each)
    assert [bench.run() for _ in came] == came
    assert [each.outcome() for each in came] == ["0", "1", "2", "3", "4"]
    assert bench.take() is None


def test_an_interactive_post_goes_before_a_bulk_batch_that_came_first() -> None:
    bench, bulk = Bench(), tasks(3)
    bench.submit(*bulk, lane=Lane.BULK)
    assert bench.take() is bulk[0]
    urgent = task("urgent")
    bench.submit(urgent)
    bench.lanes.finish(bulk[0], 1.0)
    assert [bench.run(), bench.run(), bench.run()] == [urgent, bulk[1], bulk[2]]


def test_a_batch_is_shared_out_over_all_workers() -> None:
    bench, bulk = Bench(workers=3), tasks(3)
    bench.submit(*bulk, lane=Lane.BULK)
    assert [bench.take(), bench.take(), bench.take()] == bulk


def test_bulk_has_a_turn_after_so_many_interactive_posts_in_a_row() -> None:
    bench, bulk = Bench(), tasks(2)
    bench.submit(*bulk, lane=Lane.BULK)
    for each in tasks(2 * BULK_TURN + 10):
        bench.submit(each)
    order = [bench.run().lane for _ in range(2 * BULK_TURN + 12)]
    assert order[: BULK_TURN + 1] == [Lane.INTERACTIVE] * BULK_TURN + [Lane.BULK]
    # All that waited then have had their bulk post before them, so the second one comes when they are through.
    assert order[BULK_TURN + 1 :] == [Lane.INTERACTIVE] * (BULK_TURN + 10) + [Lane.BULK]


def test_a_shadow_post_leaves_a_worker_free() -> None:
    bench = Bench(workers=2)
    bench.lanes.add(tasks(2), Lane.SHADOW)
    first = bench.take()
    assert first is not None
    assert bench.take() is None
    bench.submit(task("urgent"))
    assert bench.take() is not None
    bench.lanes.finish(first, 1.0)
    assert bench.take() is None  # the other one runs, so this one stays free


def test_a_single_worker_runs_shadow_posts_when_nothing_else_waits() -> None:
    bench, shadow, urgent = Bench(), task("shadow"), task("urgent")
    bench.lanes.add([shadow], Lane.SHADOW)
    bench.submit(urgent)
    assert [bench.run(), bench.run()] == [urgent, shadow]


def test_what_expired_while_it_waited_is_dropped_before_it_is_run() -> None:
    bench, late, good = Bench(), task("late", 1.0), task("good")
    bench.submit(task("before", 2.0))
    bench.submit(late, within_s=5.0)
    bench.submit(good)
    bench.run(seconds=5.0)  # longer than foretold
    assert bench.run() is good
    assert (late.state, bench.unrun) == (State.UNRUN, ["expired"])


def test_what_nobody_waits_for_any_more_is_not_run() -> None:
    bench, gone = Bench(), task("gone")
    bench.submit(task("before"))
    ticket = bench.submit(gone)
    bench.lanes.leave(ticket, "abandoned")
    bench.lanes.leave(ticket, "abandoned")
    assert (gone.state, bench.unrun, bench.lanes.posts_in_work) == (State.UNRUN, ["abandoned"], 1)
    bench.run()
    assert bench.take() is None


def test_a_task_that_others_wait_for_survives_the_request_that_brought_it() -> None:
    bench, shared = Bench(), task("shared")
    first, second = bench.submit(shared, within_s=2.0), bench.submit(shared, within_s=9.0)
    bench.lanes.leave(first, "expired")
    bench.now = 3.0
    taken = bench.take()
    assert taken is shared
    assert bench.lanes.finish(shared, 4.0) == [second]
    assert bench.unrun == []


def test_one_who_joins_with_less_time_takes_none_from_the_others() -> None:
    bench, shared = Bench(), task("shared")
    first, second = bench.submit(shared, within_s=9.0), bench.submit(shared, within_s=2.0)
    bench.now = 3.0
    bench.lanes.leave(second, "expired")
    assert bench.take() is shared
    assert bench.lanes.finish(shared, 4.0) == [first]


def test_the_gate_counts_what_is_before_a_request_and_not_what_it_goes_before() -> None:
    bench = Bench()
    bench.submit(*tasks(10), lane=Lane.BULK)
    bench.submit(task(), within_s=1.5)
    with pytest.raises(RefusedError):
        bench.submit(task(), lane=Lane.BULK, within_s=11.9)  # the interactive one is before it too
    bench.submit(task(), lane=Lane.BULK, within_s=11 * CAUTION + 1.1)


def test_a_task_that_failed_wakes_whoever_waits_for_it_at_once() -> None:
    def fail() -> str:
        raise ValueError("broken")

    bench, broken = Bench(), Task(fail, 1.0)
    ticket = bench.submit(broken, task())
    taken = bench.take()
    assert taken is broken
    broken.run()
    assert bench.lanes.finish(broken, 1.0) == [ticket]
    assert ticket.unfinished == 1
    with pytest.raises(ValueError, match="broken"):
        broken.outcome()


def test_an_interactive_request_moves_a_bulk_task_that_it_joins_up() -> None:
    bench, bulk = Bench(), tasks(3)
    bench.submit(*bulk, lane=Lane.BULK)
    bench.submit(bulk[2])
    assert [bench.run(), bench.run(), bench.run()] == [bulk[2], bulk[0], bulk[1]]
    assert bulk[2].lane is Lane.INTERACTIVE


def test_a_task_that_was_dropped_comes_again_for_who_asks_next() -> None:
    bench, again = Bench(), task("again")
    bench.lanes.leave(bench.submit(again), "abandoned")
    bench.submit(again)
    assert bench.run() is again


def test_a_task_of_a_ticket_twice_is_run_and_counted_once() -> None:
    bench, twice = Bench(), task("twice")
    ticket = bench.submit(twice, twice)
    assert bench.lanes.posts_in_work == 1
    assert bench.take() is twice
    assert bench.lanes.finish(twice, 1.0) == [ticket]
    assert bench.take() is None


def test_what_is_done_already_is_not_waited_for() -> None:
    bench, done = Bench(), task("done")
    bench.submit(done)
    bench.run()
    assert bench.submit(done).unfinished == 0


def test_no_more_posts_are_let_in_than_fit_and_a_batch_whole_or_not_at_all() -> None:
    bench = Bench(queue_posts=3)
    bench.submit(*tasks(2), lane=Lane.BULK)
    with pytest.raises(RefusedError, match="2 posts are in work") as refused:
        bench.submit(*tasks(2), lane=Lane.BULK)
    assert (bench.lanes.waiting(Lane.BULK), bench.lanes.posts_in_work) == (2, 2)
    assert refused.value.retry_after_s == 1
    bench.submit(task())


def test_a_closed_gate_lets_nobody_in_and_what_is_inside_runs_on() -> None:
    bench = Bench()
    bench.submit(task())
    bench.lanes.closed = True
    with pytest.raises(RefusedError, match="the server stops"):
        bench.submit(task())
    assert bench.run().state is State.DONE


def test_an_idle_server_tries_again_when_its_measures_are_old() -> None:
    bench = Bench()
    with pytest.raises(RefusedError):
        bench.submit(task("slow", 60.0), within_s=0.5)
    bench.now = STALE_S
    bench.submit(task("slow", 60.0), within_s=0.5)
    with pytest.raises(RefusedError):  # one at a time
        bench.submit(task("slow", 60.0), within_s=0.5)


def test_where_all_workers_are_busy_the_gate_counts_how_late_outcomes_reach_their_requests() -> None:
    bench = Bench()
    for _ in range(100):
        bench.lanes.observe_handover(0.5)
    bench.submit(task(), within_s=1.0)  # the worker is free, so nobody else holds the loop up
    assert bench.take() is not None
    just_s = CAUTION * 1.0 + 1.0 + HANDOVERS * 0.5
    with pytest.raises(RefusedError):
        bench.submit(task(), within_s=just_s - 0.01)
    bench.submit(task(), within_s=just_s + 0.01)


@given(waits=st.lists(st.sampled_from([0.001, 0.001, 0.001, 0.05]), min_size=200, max_size=200))
def test_a_long_handover_counts_at_once_and_is_forgotten_slowly(waits: list[float]) -> None:
    lanes = Bench().lanes
    for seconds in waits:
        lanes.observe_handover(seconds)
        assert 0.0 < lanes.handover_s <= 0.05
    before_s = lanes.handover_s
    lanes.observe_handover(before_s + 1.0)
    risen_s = lanes.handover_s - before_s
    lanes.observe_handover(lanes.handover_s - 1.0)
    assert lanes.handover_s > before_s + 0.9 * risen_s


@given(
    busy_s=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=6),
    seconds=st.floats(0.0, 50.0),
)
def test_the_level_is_where_the_work_fits_under(busy_s: list[float], seconds: float) -> None:
    height = level(busy_s, seconds)
    assert height >= min(busy_s) - 1e-9
    assert sum(max(0.0, height - busy) for busy in busy_s) == pytest.approx(seconds, abs=1e-6)


@given(
    before=st.lists(st.floats(0.01, 2.0), max_size=8),
    own_s=st.floats(0.01, 2.0),
    within_s=st.floats(0.01, 12.0),
    workers=st.integers(1, 4),
)
def test_the_gate_refuses_what_would_be_late_and_nothing_else(
    before: list[float], own_s: float, within_s: float, workers: int
) -> None:
    bench = Bench(workers=workers)
    for seconds in before:
        bench.submit(task("before", seconds))
    foretold_s = CAUTION * sum(before) / workers + own_s
    own = task("own", own_s)
    if foretold_s <= within_s - 1e-9:
        bench.submit(own, within_s=within_s)
    elif foretold_s > within_s + 1e-9:
        with pytest.raises(RefusedError) as refused:
            bench.submit(own, within_s=within_s)
        assert refused.value.retry_after_s == max(1, math.ceil(foretold_s - within_s))


@given(sizes=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30), workers=st.integers(1, 4), wait_s=st.floats(0, 9))
def test_a_request_that_comes_again_after_retry_after_is_let_in(
    sizes: list[float], workers: int, wait_s: float
) -> None:
    """Where everything takes as long as foretold, nothing else comes, and it could ever be done in time."""
    bench = Bench(workers=workers, queue_posts=len(sizes) + 1)
    for seconds in sizes:
        bench.submit(task("before", seconds))
    within_s = 1.1 + wait_s / 10
    try:
        bench.submit(task("own", 1.0), within_s=within_s)
    except RefusedError as refused:
        running: list[tuple[float, Task[str]]] = []
        while True:
            while len(running) < workers and (taken := bench.take()) is not None:
                running.append((bench.now + taken.seconds, taken))
            running.sort(key=lambda each: each[0])
            if not running or running[0][0] > refused.retry_after_s:
                break
            bench.now, ended = running.pop(0)
            bench.lanes.finish(ended, bench.now)
        bench.now = float(refused.retry_after_s)
        bench.submit(task("own", 1.0), within_s=within_s)


class Lanes3(RuleBasedStateMachine):
    """Random comings, goings, runs and expiries on three lanes and two workers."""

    QUEUE_POSTS = 40

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(workers=2, queue_posts=self.QUEUE_POSTS)
        self.tickets: list[Ticket] = []
        self.live: set[Ticket] = set()
        self.tasks: list[Task[str]] = []
        self.begun: Counter[Task[str]] = Counter()
        self.bulk_before: dict[Task[str], int] = {}
        self.since_bulk = 0

    @rule(
        count=st.integers(1, 6),
        lane=st.sampled_from([Lane.INTERACTIVE, Lane.BULK]),
        seconds=st.floats(0.001, 1.0),
        within_s=st.floats(0.01, 20.0),
        join=st.lists(st.integers(0, 10_000), max_size=3),
    )
    def come(self, count: int, lane: Lane, seconds: float, within_s: float, join: list[int]) -> None:
        new = tasks(count, seconds)
        joined = [self.tasks[number % len(self.tasks)] for number in join if self.tasks]
        was = self.bench.lanes.posts_in_work, *map(self.bench.lanes.waiting, Lane)
        lanes_before = {each: each.lane for each in joined}
        try:
            ticket = self.bench.submit(*new, *joined, lane=lane, within_s=within_s)
        except RefusedError:
            ticket = None
        if ticket is None:
            assert (self.bench.lanes.posts_in_work, *map(self.bench.lanes.waiting, Lane)) == was
            assert all(each.state is State.NEW for each in new)
            return
        self.tasks += new
        self.tickets.append(ticket)
        self.live.add(ticket)
        bulk_runs = any(each.lane is Lane.BULK for each in self.bench.lanes.running)
        for each in (*new, *joined):
            came = each in new or lanes_before[each] is not Lane.INTERACTIVE or each not in self.bulk_before
            if came and each.state is State.WAITING and each.lane is Lane.INTERACTIVE:
                self.bulk_before[each] = int(bulk_runs)

    @rule(count=st.integers(1, 3))
    def shadow(self, count: int) -> None:
        self.bench.lanes.add(tasks(count), Lane.SHADOW)

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.bench.now += seconds

    @precondition(lambda self: len(self.bench.lanes.running) < 2)
    @rule()
    def take(self) -> None:
        waiting = {lane: self.bench.lanes.waiting(lane) for lane in Lane}
        taken = self.bench.take()
        if taken is None:
            assert not self.bench.lanes.waiting(Lane.INTERACTIVE)
            assert not self.bench.lanes.waiting(Lane.BULK)
            return
        self.begun[taken] += 1
        if taken.lane is Lane.SHADOW:
            assert not self.bench.lanes.waiting(Lane.INTERACTIVE)
            assert not self.bench.lanes.waiting(Lane.BULK)
            return
        assert taken.deadline_s > self.bench.now
        assert taken.tickets
        if taken.lane is Lane.BULK:
            self.since_bulk = 0
            for each, bulk in self.bulk_before.items():
                if each.state is State.WAITING and each.lane is Lane.INTERACTIVE:
                    self.bulk_before[each] = bulk + 1
                    assert bulk == 0, "two bulk inferences before one interactive post"
        elif waiting[Lane.BULK]:
            self.since_bulk += 1
            assert self.since_bulk <= BULK_TURN + 2 * self.QUEUE_POSTS, "bulk starves"

    @precondition(lambda self: self.bench.lanes.running)
    @rule(which=st.integers(0, 1))
    def finish(self, which: int) -> None:
        running = self.bench.lanes.running
        ended = running[which % len(running)]
        ended.run()
        for ticket in self.bench.lanes.finish(ended, self.bench.now):
            assert ticket in self.live
            assert all(each.state is State.DONE for each in ticket.tasks)
            self.live.remove(ticket)

    @precondition(lambda self: self.tickets)
    @rule(which=st.integers(0, 10_000), why=st.sampled_from(["expired", "abandoned"]))
    def leave(self, which: int, why: Unrun) -> None:
        ticket = self.tickets[which % len(self.tickets)]
        self.bench.lanes.leave(ticket, why)
        self.live.discard(ticket)

    @invariant()
    def nothing_is_lost_doubled_or_over_the_bound(self) -> None:
        lanes = self.bench.lanes
        assert lanes.posts_in_work == sum(ticket.unfinished for ticket in self.live) <= self.QUEUE_POSTS
        assert all(times <= 1 for times in self.begun.values())
        waiting = [each for each in self.tasks if each.state is State.WAITING]
        assert len(waiting) == lanes.waiting(Lane.INTERACTIVE) + lanes.waiting(Lane.BULK)
        assert all(each.tickets for each in waiting)
        unrun = sum(each.state is State.UNRUN for each in self.tasks)
        assert len(self.bench.unrun) >= unrun
        for ticket in self.live:
            expired = [each for each in ticket.tasks if each.state is State.UNRUN]
            assert all(each.deadline_s <= self.bench.now for each in expired)

    def teardown(self) -> None:
        """All that waits runs in the end."""
        for running in self.bench.lanes.running:
            self.bench.lanes.finish(running, self.bench.now)
        while self.bench.take() is not None:
            self.bench.lanes.finish(self.bench.lanes.running[0], self.bench.now)
        assert not any(map(self.bench.lanes.waiting, Lane))


TestLanes3 = Lanes3.TestCase
