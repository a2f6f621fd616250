"""The thread of the pages: it steps back behind those that infer, and long work lets others have their turn."""

import asyncio
import os
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from threading import Event, get_native_id, main_thread

import pytest

from serving.scheduler import NICENESS as OF_INFERENCE
from serving.workbench import worker as module
from serving.workbench.worker import Worker
from tests.serving.clients import WAIT_S


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_the_pages_come_after_what_infers_and_nobody_else_steps_back() -> None:
    with closing(Worker()) as worker:
        theirs = asyncio.run(worker.run(priority))
    assert theirs > OF_INFERENCE
    assert os.getpriority(os.PRIO_PROCESS, main_thread().native_id or 0) < OF_INFERENCE


def counting(steps: int, then: Callable[[], None] = lambda: None) -> Generator[None, None, int]:
    for _ in range(steps):
        then()
        yield
    return steps


def test_work_in_steps_comes_to_what_it_returns_or_raises() -> None:
    def failing() -> Generator[None, None, int]:
        yield
        raise ValueError("no index")

    with closing(Worker()) as worker:
        assert asyncio.run(worker.run_in_turns(counting(3))) == 3
        with pytest.raises(ValueError, match="no index"):
            asyncio.run(worker.run_in_turns(failing()))


def test_a_page_that_comes_while_long_work_runs_is_served_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.0)  # each step is a turn of its own
    served = Event()

    async def both(worker: Worker) -> int:
        long = asyncio.create_task(worker.run_in_turns(endless()))
        page = asyncio.create_task(worker.run(served.set))
        await page
        return await asyncio.wait_for(long, WAIT_S)

    def endless() -> Generator[None, None, int]:
        turns = 0
        while not served.is_set():
            turns += 1
            yield
        return turns

    with closing(Worker()) as worker:
        assert asyncio.run(both(worker)) > 0


def test_a_page_is_not_kept_waiting_by_work_aside_between_its_own_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.0)  # each step is a turn of its own
    monkeypatch.setattr(module, "_PAUSE_S", 0.05)  # longer than any loop takes to ask for the next turn
    order: list[str] = []
    begun, page_came = Event(), Event()

    def aside() -> Generator[None, None, int]:
        begun.set()
        page_came.wait(WAIT_S)
        yield
        order.append("aside")
        return 1

    async def both(worker: Worker) -> None:
        long = asyncio.create_task(worker.aside.run_in_turns(aside()))
        await asyncio.to_thread(begun.wait, WAIT_S)
        page = asyncio.create_task(worker.run_in_turns(counting(5, lambda: order.append("page"))))
        await asyncio.sleep(0)
        page_came.set()
        await page
        await long

    with closing(Worker()) as worker:
        asyncio.run(both(worker))
    assert order == ["page"] * 5 + ["aside"]


def test_work_aside_has_its_turn_however_many_pages_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    had_its_turn = Event()

    def pages() -> Generator[None, None, int]:
        while not had_its_turn.is_set():
            yield
        return 1

    async def both(worker: Worker) -> int:
        busy = asyncio.create_task(worker.run_in_turns(pages()))
        await worker.aside.run(had_its_turn.set)
        return await asyncio.wait_for(busy, WAIT_S)

    with closing(Worker()) as worker:
        assert asyncio.run(both(worker)) == 1


def test_who_waits_when_the_thread_ends_is_told() -> None:
    began, go_on = Event(), Event()

    def busy() -> None:
        began.set()
        go_on.wait(WAIT_S)

    async def closed_meanwhile() -> tuple[BaseException | None, BaseException | None]:
        worker = Worker()
        first = asyncio.create_task(worker.run(busy))
        await asyncio.to_thread(began.wait, WAIT_S)
        waiting = asyncio.create_task(worker.run(lambda: None))
        await asyncio.sleep(0)
        worker.close()
        go_on.set()
        return await asyncio.gather(first, waiting, return_exceptions=True)

    ended, given_up = asyncio.run(closed_meanwhile())
    assert ended is None
    assert isinstance(given_up, asyncio.CancelledError)
