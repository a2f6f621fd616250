"""The worker threads: they run what comes, wake who waits, block when idle and drain when closed."""

import os
import sys
from collections.abc import Callable
from functools import partial
from threading import Event, Lock, current_thread, get_native_id
from threading import enumerate as all_threads

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.lanes import Lane, RefusedError, State, Task, Ticket, Unrun
from serving.scheduler import NICENESS, Scheduler
from tests.serving.clients import WAIT_S

FAR_S = 1e9


def ticket_of(*tasks: Task[object], lane: Lane = Lane.INTERACTIVE, deadline_s: float = FAR_S) -> tuple[Ticket, Event]:
    """A ticket, and the event by which its owner is woken."""
    woken = Event()
    return Ticket(tasks, lane, deadline_s, woken.set), woken


def scheduler_of(
    *, workers: int = 1, queue_posts: int = 100, clock: Callable[[], float] = lambda: 0.0
) -> tuple[Scheduler, list[Unrun]]:
    unrun: list[Unrun] = []
    return Scheduler(workers=workers, queue_posts=queue_posts, clock=clock, unrun=unrun.append), unrun


def test_tasks_run_on_worker_threads_and_wake_their_owner_once_all_are_done() -> None:
    scheduler, _ = scheduler_of(workers=2)
    wakes: list[str] = []
    woken = Event()

    def wake() -> None:
        wakes.append(current_thread().name)
        woken.set()

    tasks = [Task(lambda: current_thread().name, 0.001) for _ in range(50)]
    scheduler.submit(Ticket(tasks, Lane.BULK, FAR_S, wake))
    assert woken.wait(WAIT_S)
    assert {task.outcome().rstrip("01") for task in tasks} == {"predict-"}
    scheduler.close()
    assert len(wakes) == 1
    assert scheduler.posts_in_work == 0


def test_both_workers_work_on_one_batch() -> None:
    scheduler, _ = scheduler_of(workers=2)
    gates = [Event(), Event()]

    def meet(own: Event, other: Event) -> bool:
        own.set()
        return other.wait(WAIT_S)

    tasks = [Task(lambda: meet(*gates), 1.0), Task(lambda: meet(*reversed(gates)), 1.0)]
    ticket, woken = ticket_of(*tasks, lane=Lane.BULK)
    scheduler.submit(ticket)
    assert woken.wait(WAIT_S)
    assert [task.outcome() for task in tasks] == [True, True]
    scheduler.close()


def test_a_worker_outlives_work_that_fails_and_says_what_it_was() -> None:
    def fail() -> None:
        raise KeyError("broken")

    scheduler, _ = scheduler_of()
    broken, good = Task(fail, 1.0), Task(lambda: "good", 1.0)
    first, first_woken = ticket_of(broken)
    second, second_woken = ticket_of(good)
    scheduler.submit(first)
    scheduler.submit(second)
    assert first_woken.wait(WAIT_S)
    assert second_woken.wait(WAIT_S)
    assert good.outcome() == "good"
    with pytest.raises(KeyError):
        broken.outcome()
    scheduler.close()


def test_work_is_told_how_long_it_took_by_the_clock() -> None:
    now = [10.0]
    took: list[float] = []

    def work() -> None:
        now[0] += 2.5

    scheduler, _ = scheduler_of(clock=lambda: now[0])
    ticket, _ = ticket_of(Task(work, 1.0, took.append))
    scheduler.submit(ticket)
    scheduler.close()
    assert took == [2.5]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give a thread no priority of its own")
def test_workers_leave_the_core_to_whoever_talks_to_clients() -> None:
    scheduler, _ = scheduler_of()
    task = Task(lambda: os.getpriority(os.PRIO_PROCESS, get_native_id()), 0.0)
    ticket, woken = ticket_of(task)
    mine = os.getpriority(os.PRIO_PROCESS, get_native_id())
    scheduler.submit(ticket)
    assert woken.wait(WAIT_S)
    scheduler.close()
    assert task.outcome() == max(mine, NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, get_native_id()) == mine


def test_no_thread_is_there_before_the_first_task_nor_after_the_end() -> None:
    before = set(all_threads())
    scheduler, _ = scheduler_of(workers=3)
    assert set(all_threads()) == before
    ticket, woken = ticket_of(Task(lambda: None, 0.0))
    scheduler.submit(ticket)
    assert woken.wait(WAIT_S)
    started = set(all_threads()) - before
    assert len(started) == 3
    scheduler.close()
    assert not any(thread.is_alive() for thread in started)


def test_a_close_drains_what_was_let_in_and_lets_nothing_more_in() -> None:
    scheduler, _ = scheduler_of()
    gate = Event()
    running = Task(lambda: gate.wait(WAIT_S), 1.0)
    waiting = [Task(lambda: "done", 1.0) for _ in range(5)]
    shadow = Task(lambda: "shadow", 1.0)
    for task in (running, *waiting):
        scheduler.submit(ticket_of(task)[0])
    assert scheduler.shadow([shadow], most=9)
    gate.set()
    scheduler.close()
    assert [task.outcome() for task in waiting] == ["done"] * 5
    late = Task(lambda: None, 1.0)
    with pytest.raises(RefusedError, match="the server stops"):
        scheduler.submit(ticket_of(late)[0])
    assert not scheduler.shadow([Task(lambda: None, 1.0)], most=9)
    assert late.state is State.NEW


def test_a_scheduler_that_never_ran_anything_closes() -> None:
    scheduler, _ = scheduler_of()
    scheduler.close()


def test_what_is_left_while_it_waits_never_runs_and_what_runs_ends() -> None:
    scheduler, unrun = scheduler_of()
    entered, gate = Event(), Event()

    def work() -> None:
        entered.set()
        gate.wait(WAIT_S)

    running, waiting = Task(work, 1.0), Task(lambda: None, 1.0)
    first, woken = ticket_of(running)
    second, never = ticket_of(waiting)
    scheduler.submit(first)
    scheduler.submit(second)
    assert entered.wait(WAIT_S)
    assert scheduler.waiting(Lane.INTERACTIVE) == 1
    scheduler.leave(first, "abandoned")
    scheduler.leave(second, "expired")
    gate.set()
    scheduler.close()
    assert (running.state, waiting.state, unrun) == (State.DONE, State.UNRUN, ["expired"])
    assert not woken.is_set()
    assert not never.is_set()


def test_shadow_posts_are_dropped_where_too_many_wait() -> None:
    scheduler, _ = scheduler_of()
    entered, gate = Event(), Event()

    def work() -> None:
        entered.set()
        gate.wait(WAIT_S)

    scheduler.submit(ticket_of(Task(work, 1.0))[0])
    assert entered.wait(WAIT_S)
    shadows = [Task(lambda: "seen", 0.0) for _ in range(3)]
    assert scheduler.shadow(shadows[:2], most=2)
    assert not scheduler.shadow(shadows[2:], most=2)
    assert scheduler.waiting(Lane.SHADOW) == 2
    gate.set()
    scheduler.close()


def test_the_gate_can_be_asked_beforehand() -> None:
    scheduler, _ = scheduler_of()
    scheduler.check(Lane.INTERACTIVE, seconds=1.0, deadline_s=2.0)
    with pytest.raises(RefusedError):
        scheduler.check(Lane.INTERACTIVE, seconds=3.0, deadline_s=2.0)
    assert scheduler.posts_in_work == 0
    scheduler.close()


@given(
    batches=st.lists(st.tuples(st.integers(1, 8), st.sampled_from([Lane.INTERACTIVE, Lane.BULK])), max_size=20),
    workers=st.integers(1, 4),
)
def test_every_task_runs_exactly_once_whatever_comes(batches: list[tuple[int, Lane]], workers: int) -> None:
    scheduler, unrun = scheduler_of(workers=workers, queue_posts=1_000)
    ran: list[int] = []
    lock = Lock()

    def work(number: int) -> None:
        with lock:
            ran.append(number)

    woken = []
    number = 0
    for count, lane in batches:
        tasks = [Task(partial(work, number + place), 0.001) for place in range(count)]
        number += count
        ticket, event = ticket_of(*tasks, lane=lane)
        scheduler.submit(ticket)
        woken.append(event)
    scheduler.close()
    assert sorted(ran) == list(range(number))
    assert all(event.is_set() for event in woken)
    assert (scheduler.posts_in_work, unrun) == (0, [])
