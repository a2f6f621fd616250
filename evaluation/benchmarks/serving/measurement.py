"""What is done to a server: started, asked whether it answers as the model does, loaded at several rates, and ended.

The order is fixed: the bare model, idle, 25, 50 and 75 % of its limit, a search for the highest rate that is sustained,
5 times overload last (some peers queue without bound and would spend minutes on what nobody waits for any more), and
the bare model again.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from evaluation.benchmarks.serving.bare import IDLE_PER_S
from evaluation.benchmarks.serving.contenders import QUIET, ROOT, Contender, Place
from evaluation.benchmarks.serving.environments import program_of
from evaluation.benchmarks.serving.load import LoadError, Send, Sent, Stream
from evaluation.benchmarks.serving.peers.machine import BUNDLE
from evaluation.benchmarks.serving.processes import NotStartedError, Program, answers, running, wait_until_ready
from evaluation.benchmarks.serving.results import (
    SUSTAINED_SHARE,
    Bare,
    Load,
    Measured,
    Ratios,
    Server,
    Status,
)
from evaluation.benchmarks.serving.workload import Item

SHARES = (0.25, 0.5, 0.75)
OVERLOAD = 5.0
_FIRST_TRIES = (0.85, 0.95, 1.05)
"""Where the search goes on while everything is sustained; over the bare limit nobody can."""
_SETTLED_S, _SETTLE_WITHIN_S = 0.2, 20.0
_PREPARE_S = 120


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long everything takes, in seconds; `search_steps` is how many rates the search may try."""

    bare_s: float
    warm_s: float
    idle_s: float
    step_s: float
    search_s: float
    overload_s: float
    search_steps: int
    checked_posts: int

    @property
    def whole_s(self) -> float:
        """What one server takes at most, starting and ending included, by experience."""
        bare_s = 2 * (6.4 * self.bare_s + 2)  # three measurements and a warm-up of each of two loops, and an import
        runs = 2 + len(SHARES) + self.search_steps
        loads_s = self.warm_s + self.idle_s + len(SHARES) * self.step_s + self.search_steps * self.search_s
        return bare_s + loads_s + self.overload_s + runs * 1.5 + 15


FULL = Lengths(1.5, 2.0, 10.0, 5.0, 4.0, 6.0, 4, 50)
QUICK = Lengths(0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2, 10)


@dataclass(frozen=True, slots=True)
class Setting:
    """What measuring a server needs of the run around it."""

    lengths: Lengths
    cache: Path
    bundle: Path
    send: Send
    bare: Callable[[], Bare]
    items: Sequence[Item]
    labels: Sequence[str]
    """The bare model's label of each of the first items."""
    say: Callable[[str], None]


def next_share(tried: Mapping[float, bool]) -> float | None:
    """The share of the bare limit to try next, `None` where it would tell nothing: up while all is sustained, then
    between the highest that was and the lowest that was not.
    """
    failed = min((share for share, sustained in tried.items() if not sustained), default=None)
    held = max((share for share, ok in tried.items() if ok and (failed is None or share < failed)), default=0.0)
    if failed is None:
        return next((share for share in _FIRST_TRIES if share > held), None)
    return (held + failed) / 2 if failed - held > 0.02 else None


def is_sustained(load: Load) -> bool:
    """True where nearly every planned request got a good answer."""
    return load.good >= SUSTAINED_SHARE * load.requests


def free_port() -> int:
    """A port that is free now, with two free above it by all likelihood."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _load(scenario: str, stream: Stream, sent: Sent, cpu_s: float, memory: tuple[float, float]) -> Load:
    requests = max(stream.requests, sent.sent + sent.dropped)
    return Load(
        scenario=scenario,
        offered_per_s=stream.rate_per_s,
        duration_s=stream.duration_s,
        requests=requests,
        answered=sent.answered,
        refused=sent.refused,
        failed=requests - sent.answered - sent.refused,
        good=sent.good,
        throughput_per_s=sent.answered / stream.duration_s,
        goodput_per_s=sent.good / stream.duration_s,
        p50_ms=sent.p50_ms,
        p90_ms=sent.p90_ms,
        p99_ms=sent.p99_ms,
        max_ms=sent.max_ms,
        dropped=sent.dropped,
        late_p99_ms=sent.late_p99_ms,
        cpu_s_per_1000=cpu_s / sent.answered * 1_000 if sent.answered else None,
        tool_cpu_s=sent.tool_cpu_s,
        rss_mb=memory[0],
        pss_mb=memory[1],
    )


class Session:
    """A started server under load; each stream goes on in the bodies where the last one ended."""

    def __init__(self, setting: Setting, contender: Contender, program: Program, url: str, bodies: Path) -> None:
        self._setting, self._contender, self._program = setting, contender, program
        self._url, self._bodies, self._next = url, bodies, 0
        self._probe = contender.body(setting.items[0]).encode()

    def load(self, scenario: str, rate_per_s: float, duration_s: float, deadline_ms: int | None = None) -> Load:
        """What came of a stream of requests.

        Raises:
            NotStartedError: when the server is gone.
        """
        stream = Stream(self._url, self._bodies, round(rate_per_s, 1), duration_s, self._next, deadline_ms)
        self._next += stream.requests
        self._setting.say(f"{self._contender.name}: {scenario}, {stream.rate_per_s:.0f} requests a second")
        before = self._program.usage()
        sent = self._setting.send(stream)
        after = self._program.usage()
        if self._program.process.poll() is not None and not self._program.tree():
            raise NotStartedError(f"it ended under load ({scenario}): {self._program.last_lines()}")
        return _load(scenario, stream, sent, max(0.0, after.cpu_s - before.cpu_s), (after.rss_mb, after.pss_mb))

    def settle(self) -> None:
        """Nothing; what was queued is worked off, or as much of it as a while allows."""
        end = time.perf_counter() + _SETTLE_WITHIN_S
        while time.perf_counter() < end:
            asked = time.perf_counter()
            if answers(self._url, self._probe, timeout_s=5.0) and time.perf_counter() - asked < _SETTLED_S:
                return
            time.sleep(_SETTLED_S / 2)

    def search(self, limit_per_s: float, steps: list[Load]) -> list[Load]:
        """Further steps towards the highest rate that is sustained."""
        tried = {step.offered_per_s / limit_per_s: is_sustained(step) for step in steps}
        found: list[Load] = []
        while len(found) < self._setting.lengths.search_steps and (share := next_share(tried)) is not None:
            self.settle()
            step = self.load(f"search {share:.0%}", share * limit_per_s, self._setting.lengths.search_s)
            tried[share] = is_sustained(step)
            found.append(step)
        return found


def _over(value: float | None, bare: float) -> float | None:
    return None if value is None or bare <= 0 else value / bare


def _mean(before: Bare, after: Bare, figure: Callable[[Bare], float]) -> float:
    return (figure(before) + figure(after)) / 2


def summarise(
    before: Bare, after: Bare, *, ready_s: float, same_label: float, idle: Load, steps: list[Load], overload: Load
) -> Measured:
    """All that was measured of a server, with its ratios to the bare model around it."""
    sustained = max((step.offered_per_s for step in steps if is_sustained(step)), default=None)
    throughput = max(load.throughput_per_s for load in (*steps, overload))
    goodput = max(step.goodput_per_s for step in steps)
    limit = _mean(before, after, lambda bare: bare.model.limit_per_s)
    return Measured(
        bare_before=before,
        bare_after=after,
        ready_s=ready_s,
        same_label=same_label,
        idle=idle,
        steps=steps,
        overload=overload,
        sustained_per_s=sustained,
        peak_throughput_per_s=throughput,
        peak_goodput_per_s=goodput,
        ratios=Ratios(
            idle_p50=_over(idle.p50_ms, _mean(before, after, lambda bare: bare.model.p50_ms)),
            idle_p90=_over(idle.p90_ms, _mean(before, after, lambda bare: bare.model.p90_ms)),
            idle_p99=_over(idle.p99_ms, _mean(before, after, lambda bare: bare.model.p99_ms)),
            sustained=_over(sustained, limit),
            throughput=_over(throughput, limit),
            goodput=_over(goodput, limit),
            overload_goodput=_over(overload.goodput_per_s, limit),
            cpu=_over(steps[1].cpu_s_per_1000, _mean(before, after, lambda bare: bare.model.cpu_s_per_1000)),
            memory=_over(steps[1].pss_mb, _mean(before, after, lambda bare: bare.pss_mb)),
        ),
    )


def _same_label(setting: Setting, contender: Contender, url: str) -> float:
    """The share of the checked posts that get the bare model's label: proof that the model runs behind the server."""
    same = 0
    for item, label in zip(setting.items, setting.labels, strict=False):
        answer = answers(url, contender.body(item).encode(), timeout_s=10.0)
        if answer is None:
            raise NotStartedError("it did not answer every post that was asked one by one")
        try:
            same += contender.label_of(json.loads(answer)) == label
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise NotStartedError(f"its answer holds no label where it was looked for: {error!r}") from None
    return same / len(setting.labels)


def _prepare(contender: Contender, place: Place, environment: Mapping[str, str]) -> None:
    if contender.prepare is None:
        return
    log = place.directory.with_suffix(".prepare.log")
    with running(contender.prepare(place), log=log, environment=environment, cwd=place.directory) as program:
        try:
            code = program.process.wait(_PREPARE_S)
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            raise NotStartedError(f"its files were not made (exit {code}): {program.last_lines()}")


def _peer_environment(contender: Contender, place: Place) -> dict[str, str]:
    # Its own programs come first: `mlflow models serve`, for one, starts its server by name.
    path = f"{program_of(contender.name, 'python').parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, BUNDLE: str(place.bundle), **QUIET}


def start(contender: Contender, cache: Path, bundle: Path) -> tuple[AbstractContextManager[Program], str]:
    """A context in which the contender's program runs, and the address that it will answer.

    It runs in a directory of its own under `cache`, empty at first, so that this server's journal begins empty too.

    Raises:
        NotStartedError: when what it serves could not be laid out.
    """
    directory = (cache / "run" / contender.name).absolute()
    shutil.rmtree(directory, ignore_errors=True)  # what a run before this one laid out there
    directory.mkdir(parents=True)
    place = Place(free_port(), directory, bundle.absolute())
    own = _peer_environment(contender, place) if contender.is_peer else {}
    # Bytecode is kept, as `make serve` keeps it: a start reads it instead of compiling everything anew.
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", **own, **contender.environment}
    _prepare(contender, place, environment)
    log = directory.with_suffix(".log")
    url = f"http://127.0.0.1:{place.port}{contender.path}"
    return running(contender.command(place), log=log, environment=environment, cwd=directory), url


def _measure_started(contender: Contender, setting: Setting, bodies: Path) -> Measured:
    lengths, before = setting.lengths, setting.bare()
    context, url = start(contender, setting.cache, setting.bundle)
    with context as program:
        first = contender.body(setting.items[0]).encode()
        ready_s = wait_until_ready(program, url, first, contender.ready_within_s)
        same_label = _same_label(setting, contender, url)
        session, limit = Session(setting, contender, program, url, bodies), before.model.limit_per_s
        session.load("warm-up", limit / 4, lengths.warm_s)
        session.settle()
        idle = session.load("idle", IDLE_PER_S, lengths.idle_s)
        steps = []
        for share in SHARES:
            steps.append(session.load(f"{share:.0%}", share * limit, lengths.step_s))
            session.settle()
        steps += session.search(limit, steps)
        session.settle()
        overload = session.load("overload", OVERLOAD * limit, lengths.overload_s, contender.deadline_ms)
    return summarise(
        before, setting.bare(), ready_s=ready_s, same_label=same_label, idle=idle, steps=steps, overload=overload
    )


def measure(contender: Contender, version: str, setting: Setting, bodies: Path) -> Server:
    """The contender with its figures, or with the reason why there are none. Its processes have ended."""
    status: Status = "measured"
    reason, measured = "", None
    try:
        measured = _measure_started(contender, setting, bodies)
    except NotStartedError as error:
        status, reason = "not_started", str(error)
    except (LoadError, OSError, subprocess.SubprocessError) as error:
        status, reason = "failed", str(error)
    if reason:
        setting.say(f"{contender.name} was not measured: {reason}")
    return describe(contender, version, status, reason, measured)


def describe(
    contender: Contender, version: str, status: Status, reason: str, measured: Measured | None = None
) -> Server:
    """The contender as it stands in the results."""
    return Server(
        name=contender.name,
        version=version,
        configuration=contender.configuration,
        does=contender.does,
        status=status,
        reason=reason.replace(str(ROOT), "."),
        measured=measured,
    )


def bare_by_command(bundle: Path, items: Path, seconds: float) -> Callable[[], Bare]:
    """A measurement of the bare model in a process of its own, whose memory is then its own too."""
    command = [sys.executable, "-m", "evaluation.benchmarks.serving", "bare"]
    options = ["--bundle", str(bundle), "--items", str(items), "--seconds", f"{seconds:g}"]

    def measure_now() -> Bare:
        done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadError(f"The bare model was not measured: {done.stderr.strip()[-300:]}")
        return Bare.model_validate_json(done.stdout.splitlines()[-1])

    return measure_now
