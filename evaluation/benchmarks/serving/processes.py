"""Programs under test: started in a session of their own, watched, and always ended with all that they started.

Every process of a program inherits one environment variable with a random value; that is how its children are found
even where they left the session or lost their parent, and why no other process is ever touched.
"""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from data.dependencies import needs_group

with needs_group("bench", "The serving benchmark"):
    import psutil

TAG = "BENCHMARK_PROCESS"
STOP_S = 5.0
"""Grace between SIGTERM and SIGKILL; this server drains in well under a second when nothing is in flight."""
_POLL_S = 0.005
"""How often a starting server is asked: fine enough to measure a start of a second."""
_LAST_LINES = 5
MEGABYTE = 1_000_000


class NotStartedError(RuntimeError):
    """A program that did not come to answer; says why as far as it is known."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program and all its children use: CPU seconds since each began, and memory now."""

    cpu_s: float
    rss_mb: float
    pss_mb: float


@dataclass(frozen=True, slots=True)
class Program:
    """A running program, known by the value of its tag."""

    process: "subprocess.Popen[bytes]"
    tag: str
    log: Path
    started_at: float
    """By `time.perf_counter`."""

    def tree(self) -> list[psutil.Process]:
        """Every living process that the program is made of."""
        return list(_tagged(self.tag))

    def usage(self) -> Usage:
        """What the whole tree uses."""
        cpu_s = rss = pss = 0.0
        for process in self.tree():
            try:
                times, memory = process.cpu_times(), process.memory_full_info()
            except psutil.Error:
                continue  # ended while it was read
            cpu_s += times.user + times.system + times.children_user + times.children_system
            rss, pss = rss + memory.rss, pss + memory.pss
        return Usage(cpu_s, rss / MEGABYTE, pss / MEGABYTE)

    def last_lines(self) -> str:
        """The end of what the program said, for the reason why it is not there."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-_LAST_LINES:]) or "nothing was said"


def _tagged(tag: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(TAG) == tag and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:  # another user's, or gone
            continue


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    end = time.perf_counter() + seconds
    while not done():
        if time.perf_counter() > end:
            return False
        time.sleep(_POLL_S * 4)
    return True


def stop(program: Program) -> None:
    """Nothing; every process of the program has ended: asked first, killed after STOP_S."""
    found: set[psutil.Process] = set()

    def has_ended() -> bool:
        # One that is ending has no environment any more, but may not be gone yet: once found, it is watched.
        found.update(program.tree())
        return program.process.poll() is not None and not any(map(_is_alive, found))

    for number in (signal.SIGTERM, signal.SIGKILL):
        found.update(program.tree())
        _signal(found, number)
        if _wait_until(has_ended, STOP_S):
            return


@contextmanager
def running(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Program]:
    """The program while the block runs; whatever ends the block, Ctrl-C included, ends it and its children."""
    tag = uuid.uuid4().hex
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started_at = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {}), TAG: tag},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches us alone, and we end it in order
        )
    program = Program(process, tag, log, started_at)
    try:
        yield program
    finally:
        stop(program)


def answers(url: str, body: bytes | None = None, timeout_s: float = 1.0) -> bytes | None:
    """The body of an answer with status 200, else `None`."""
    request = urllib.request.Request(  # noqa: S310 (only ever this machine)
        url, data=body, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 (only ever this machine)
            content: bytes = answer.read()
            return content
    except (OSError, ValueError):  # refused, reset, timed out, or another status
        return None


def wait_until_ready(program: Program, url: str, body: bytes | None, seconds: float) -> float:
    """Seconds from the start of the program to its first answer with status 200.

    Raises:
        NotStartedError: when the program ends, or `seconds` pass without an answer.
    """
    end = program.started_at + seconds
    while answers(url, body) is None:
        if program.process.poll() is not None and not program.tree():
            raise NotStartedError(f"it ended with {program.process.returncode}: {program.last_lines()}")
        if time.perf_counter() > end:
            raise NotStartedError(f"no answer within {seconds:.0f} s: {program.last_lines()}")
        time.sleep(_POLL_S)
    return time.perf_counter() - program.started_at
