"""Work side by side: results in order, every step seen, failures raised, and no process left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from data.progress import Watch, unwatched
from training.errors import DivergedError, WorkLostError
from training.processes import work_side_by_side

Item = TypeVar("Item")
PATIENCE_S = 60.0
"""A spawned process imports torch before its first step; a busy machine takes a while over that."""


@dataclass(frozen=True)
class Count:
    """Counts to `end`, tells its process id, and does what `then` says."""

    end: int
    trace: Path
    then: str = "return"

    def __call__(self, watch: Watch) -> int:
        done = 0
        for _ in watch(range(self.end), "counting", self.end):
            done += 1
            told = self.trace.with_suffix(".partial")
            told.write_text(f"{os.getpid()} {done}")
            told.replace(self.trace)  # whoever looks meanwhile sees a whole one
            if self.then == "forever":
                time.sleep(0.01)
        if self.then == "diverge":
            raise DivergedError("the count diverged")
        if self.then == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return done


class Bar:
    """Counts the steps that it was shown."""

    def __init__(self, stop_at: int = -1) -> None:
        self.steps, self.stop_at = 0, stop_at

    def __call__(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
        assert what == "counting"
        self.total = total
        for item in items:
            self.steps += 1
            if self.steps == self.stop_at:
                raise KeyboardInterrupt
            yield item


def has_ended(pid: int) -> bool:
    """True once no process of this id runs; a zombie, which nobody has waited for, has ended too."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_results_come_in_order_and_every_step_is_shown(tmp_path: Path) -> None:
    bar = Bar()
    pieces = [Count(end, tmp_path / str(end)) for end in (5, 1, 3)]
    assert work_side_by_side(pieces, processes=2, watch=bar, what="counting", total=9) == [5, 1, 3]
    assert (bar.steps, bar.total) == (9, 9)
    pids = {(tmp_path / str(end)).read_text().split()[0] for end in (5, 1, 3)}
    assert len(pids) == 3
    assert str(os.getpid()) not in pids


def test_what_a_piece_raises_is_raised_and_the_others_end(tmp_path: Path) -> None:
    pieces = [Count(10**9, tmp_path / "endless", "forever"), Count(2, tmp_path / "short", "diverge")]
    with pytest.raises(DivergedError, match="the count diverged"):
        work_side_by_side(pieces, processes=2, watch=unwatched, what="counting", total=2)
    assert multiprocessing.active_children() == []


def test_a_process_that_was_killed_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkLostError, match=r"exit code -9.*goes on from the last checkpoint"):
        work_side_by_side([Count(1, tmp_path / "a", "die")], processes=1, watch=unwatched, what="counting", total=1)


def test_an_interrupted_caller_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work_side_by_side(
            [Count(10**9, tmp_path / "a", "forever")], processes=1, watch=Bar(stop_at=3), what="counting", total=9
        )
    assert multiprocessing.active_children() == []


def test_a_caller_that_was_killed_leaves_no_process(tmp_path: Path) -> None:
    trace = tmp_path / "a"
    script = tmp_path / "caller.py"
    script.write_text(
        "from pathlib import Path\n"
        "from data.progress import unwatched\n"
        "from tests.training.test_processes import Count\n"
        "from training.processes import work_side_by_side\n"
        "if __name__ == '__main__':\n"
        f"    piece = Count(10**9, Path({str(trace)!r}), 'forever')\n"
        "    work_side_by_side([piece], processes=1, watch=unwatched, what='counting', total=9)\n"
    )
    root = Path(__file__).parents[2]
    caller = subprocess.Popen([sys.executable, script], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        wait_until(lambda: trace.exists() and bool(trace.read_text()))
    finally:
        caller.kill()
        caller.wait()
    pid = int(trace.read_text().split()[0])
    wait_until(lambda: has_ended(pid))
