"""The tallies of spans of time, kept so that a round reads what is new and little else. For the pages' own thread.

A row may come late (its database was away) and may go (its text was too old). So beside the newest steps every round
reads one old piece again, in turn: in as many rounds as there are pieces, all is as the journal has it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy import Connection

from serving.journal.filter import Filter
from serving.journal.tallies import Tally, add_up, tallies_by_step

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
_PIECE_S = DAY_S
"""What one reading covers: it takes some 10 ms where a month has 100,000 decisions, and each costs a few by itself."""
_FRESH_STEPS = 2
"""Of the newest: a decision is written within a second, so one that came at the end of a step is seen in the next."""


@dataclass(frozen=True, slots=True)
class Span:
    """A choice of time: what it is called, the steps that a chart shows, and the steps that are counted."""

    name: str
    words: str
    bar_s: int
    bars: int
    step_s: int

    def starts(self, now: datetime) -> range:
        """When its bars begin, in seconds since 1970; the last bar is the running one."""
        last = int(now.timestamp()) // self.bar_s * self.bar_s
        return range(last - (self.bars - 1) * self.bar_s, last + self.bar_s, self.bar_s)


SPANS: Mapping[str, Span] = MappingProxyType(
    {
        "hour": Span("hour", "Last hour, by minute", MINUTE_S, 60, MINUTE_S),
        "day": Span("day", "Last day, by hour", HOUR_S, 24, HOUR_S),
        "week": Span("week", "Last week, by hour", HOUR_S, 168, HOUR_S),
        "month": Span("month", "Last 30 days, by day", DAY_S, 30, HOUR_S),
    }
)


@dataclass(frozen=True, slots=True)
class Bar:
    """What was decided from `since` on, until the next bar."""

    since: datetime
    tally: Tally


class Ledger:
    """The tallies of spans that count by the same steps, so that what one has read is there for the others.

    `due` says what to read in a round, piece by piece, and `read` reads a piece.
    """

    def __init__(self, *spans: Span) -> None:
        (self._step_s,) = {span.step_s for span in spans}
        self._spans = spans
        self._tallies: dict[int, Tally] = {}
        self._read: set[int] = set()
        self._turns: Counter[str] = Counter()

    def _steps(self, span: Span, now: datetime) -> range:
        """The steps of a span up to the running one."""
        return range(span.starts(now)[0] // self._step_s, int(now.timestamp()) // self._step_s + 1)

    def _forget(self, now: datetime) -> None:
        """Nothing; what is older than every span is forgotten."""
        first = min(self._steps(span, now).start for span in self._spans)
        for old in [step for step in self._read if step < first]:
            self._read.discard(old)
            self._tallies.pop(old, None)

    def due(self, span: Span, now: datetime) -> Iterator[Sequence[int]]:
        """What must be read now, each a run of steps: what was never read, the newest, and one old piece again.

        What somebody else has read until a piece is asked for is due no more.
        """
        self._forget(now)
        steps, size = self._steps(span, now), _PIECE_S // self._step_s
        pieces = [steps[start : start + size] for start in range(0, len(steps), size)]
        self._turns[span.name] = (self._turns[span.name] + 1) % len(pieces)
        again = self._turns[span.name]
        for place, piece in enumerate(pieces):
            if place == again or not self._read.issuperset(piece):
                yield piece
        if len(pieces) > 1:
            yield steps[-_FRESH_STEPS:]

    def read(self, connection: Connection, steps: Sequence[int]) -> None:
        """Nothing; the steps are as the journal has them now."""
        since, until = (datetime.fromtimestamp(step * self._step_s, UTC) for step in (steps[0], steps[-1] + 1))
        found = tallies_by_step(connection, Filter(since=since, until=until), step_s=self._step_s)
        for step in steps:
            self._tallies.pop(step, None)
        self._tallies |= found
        self._read.update(steps)

    def bars(self, span: Span, now: datetime) -> tuple[Bar, ...]:
        """The bars of a span, the running one last, each with what was read of it."""
        per_bar = span.bar_s // self._step_s
        found = []
        for start in span.starts(now):
            first = start // self._step_s
            steps = (self._tallies.get(step) for step in range(first, first + per_bar))
            tallies = [each for each in steps if each is not None]
            found.append(Bar(datetime.fromtimestamp(start, UTC), add_up(tallies)))
        return tuple(found)
