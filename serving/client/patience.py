"""When to try again and when to give up: a plan without a network, which sync and async clients carry out alike."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

RETRIED_STATUSES = frozenset({429, 502, 503})
"""Overloaded, or not there yet. Not 504: what came too late once makes an overload worse the second time."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
"""Some posts' time on a loaded server, and long enough for one to be replaced."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request; an answer that is not there after `timeout_s` is none."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next try."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: status and body; or no status, and the name of the `trouble` that kept it away."""

    status: int | None
    body: bytes = b""
    retry_after_s: float = 0.0
    trouble: str = ""


Plan = Generator[Send | Pause, Reply | None, Reply]
"""Says what to do next, is told what came of each `Send`, and returns the last reply."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried again, on which clock; `jitter` gives numbers from 0 to 1."""

    retries: int
    clock: Callable[[], float]
    jitter: Callable[[], float]

    def _pause_s(self, attempt: int, reply: Reply) -> float:
        """As long as the server says, and a random part of a doubling time on top, so that callers spread out."""
        return reply.retry_after_s + self.jitter() * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)

    def plan(self, timeout_s: float) -> Plan:
        """Tries within `timeout_s` seconds; a pause that would outlast them is not begun."""
        deadline_s = self.clock() + timeout_s
        for attempt in range(self.retries + 1):
            reply = yield Send(deadline_s - self.clock())
            if reply is None:
                raise TypeError("A plan must be told what came of a request.")
            pause_s = self._pause_s(attempt, reply)
            is_passing = reply.status is None or reply.status in RETRIED_STATUSES
            if not is_passing or attempt == self.retries or self.clock() + pause_s >= deadline_s:
                return reply
            yield Pause(pause_s)
        raise ValueError(f"Nothing was sent: retries is {self.retries}. Wanted: 0 or more.")


def seconds_of(retry_after: str | None) -> float:
    """The seconds of a `Retry-After` header, 0 where it has none (it may also hold a date, which is not read)."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdecimal() else 0.0
