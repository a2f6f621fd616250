"""What follows from the answers that were drawn and read: alarm or none, how many are wrong, how long it takes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from evaluation.predictions import BoolArray
from evaluation.workbench.monitor import RiskSequence, answers_to_alarm, risk_sequence
from models.policy import RiskBudget
from models.promise import Watch
from serving.journal.draws import Stream

TWICE = 2.0
"""How many times the promise the page takes for what-if: over it a promise is plainly broken, under it hardly."""
_WEEK_MS = 7 * 86_400_000
_DAY_MS = 86_400_000
Verdict = Literal["alarm", "none", "nothing"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A share that lies between `low` and `high`, at all times at once, and its estimate: 0 to 1 each."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A watch as far as it can be told: up to the first answer that was drawn and is not read.

    `counted` are the answers up to there; `answers`, `drawn`, `read` and `waiting` are of all. `e_value` is the
    capital, the alarm is at `line`. `alarm_at` is when the answer came that raised it. `to_alarm` says, in answers
    given and in days, how long it would take if twice the promise were wrong, `None` where it would take for ever.
    """

    promise: float
    confidence: float
    answers: int
    counted: int
    drawn: int
    read: int
    wrong: int
    sensitive: int
    doubtful: int
    waiting: int
    stands_since: datetime | None
    e_value: float
    line: float
    alarm_at: datetime | None
    risk: Interval | None
    sensitive_risk: Interval | None
    to_alarm: int | None
    answers_a_day: float
    days_to_alarm: float | None
    watched: Watch | None
    sequence: RiskSequence | None

    @property
    def verdict(self) -> Verdict:
        """Whether the promise is broken, is not known to be, or nothing has been read."""
        if self.alarm_at is not None:
            return "alarm"
        return "none" if self.read else "nothing"


def _time(at_ms: float) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def _sequence(stream: Stream, events: BoolArray, doubtful: BoolArray, n: int, confidence: float) -> RiskSequence:
    """Intervals for the share of events: doubts count as none for the lower end and as events for the upper one."""
    drawn, chance = stream.drawn[:n], stream.chance[:n]
    sure = risk_sequence(events[:n], drawn, chance, confidence=confidence)
    if not doubtful[:n].any():
        return sure
    worst = risk_sequence((events | doubtful)[:n], drawn, chance, confidence=confidence)
    return RiskSequence(sure.places, sure.low, sure.estimate, worst.high)


def _last(sequence: RiskSequence) -> Interval:
    return Interval(float(sequence.low[-1]), float(sequence.estimate[-1]), float(sequence.high[-1]))


def _pace(stream: Stream, now: datetime) -> float:
    """Automatic answers a day, of late."""
    if not stream.ids:
        return 0.0
    now_ms = now.timestamp() * 1_000
    since_ms = max(now_ms - _WEEK_MS, float(stream.at_ms[0]))
    return float((stream.at_ms >= since_ms).sum()) / max(1.0, (now_ms - since_ms) / _DAY_MS)


def state_of(stream: Stream, budget: RiskBudget, chance: float, now: datetime) -> State:
    """What the answers show of the promise of a budget; `chance` is the one at which they are drawn now."""
    n, wrong, doubtful = stream.counted, stream.of("wrong", "sensitive"), stream.of("doubt")
    sensitive = stream.of("sensitive")
    promise, confidence = budget.wrong, budget.confidence
    sequence = of_sensitive = None
    watched = stream.test(budget) if n and 0 < promise < 1 else None
    if n and stream.drawn[:n].any():
        sequence = _sequence(stream, wrong, doubtful, n, confidence)
        of_sensitive = _sequence(stream, sensitive, doubtful, n, confidence)
    alarm_at = watched.alarm_at if watched else None
    to_alarm = answers_to_alarm(promise, chance, min(TWICE * promise, 1.0), confidence=confidence)
    pace = _pace(stream, now)
    return State(
        promise=promise,
        confidence=confidence,
        answers=len(stream.ids),
        counted=n,
        drawn=int(stream.drawn.sum()),
        read=int(stream.read.sum()),
        wrong=int(wrong.sum()),
        sensitive=int(sensitive.sum()),
        doubtful=int(doubtful.sum()),
        waiting=int(stream.waiting.sum()),
        stands_since=_time(float(stream.at_ms[n])) if n < len(stream.ids) else None,
        e_value=watched.e_value if watched else 1.0,
        line=1 / (1 - confidence),
        alarm_at=None if alarm_at is None else _time(float(stream.at_ms[alarm_at])),
        risk=_last(sequence) if sequence else None,
        sensitive_risk=_last(of_sensitive) if of_sensitive else None,
        to_alarm=to_alarm,
        answers_a_day=pace,
        days_to_alarm=to_alarm / pace if to_alarm is not None and pace else None,
        watched=watched,
        sequence=sequence,
    )
