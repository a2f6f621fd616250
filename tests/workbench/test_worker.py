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
