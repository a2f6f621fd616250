"""What a span of the journal comes to: the figures beside the diagrams. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from data.taxonomy import ROUTES
from serving.journal.queries import LATENCY_BOUNDS_MS, Bin
from serving.journal.tallies import CLOSING, Tally, add_up
from serving.workbench.cockpit.ledger import Bar, Span

ACTIONS = (*CLOSING, "agent", "specialist")
QUANTILES = (0.5, 0.9, 0.99)


def latency_bins(tally: Tally) -> tuple[Bin, ...]:
    """Posts by how long their request took, each bin over the bound before it; the last one has no end."""
    under = (0, *tally.latencies)
    bins = [Bin(bound, under[place + 1] - under[place]) for place, bound in enumerate(LATENCY_BOUNDS_MS)]
    return (*bins, Bin(inf, tally.posts - under[-1]))


def latency_under(tally: Tally, share: float) -> float | None:
    """The least bound in ms that holds that share of the posts, infinite where none does; `None` without posts.

    Nothing is guessed between two bounds: "90 % took at most 25 ms" is true as it stands.
    """
    if not tally.posts:
        return None
    within = zip(LATENCY_BOUNDS_MS, tally.latencies, strict=True)
    return next((bound for bound, posts in within if posts >= share * tally.posts), inf)


def bound_words(bound: float | None) -> str:
    """A bound on latency as people read it."""
    if bound is None:
        return "-"
    if bound == inf:
        return f"over {LATENCY_BOUNDS_MS[-1] / 1_000:g} s"
    return f"≤ {bound:g} ms" if bound < 1_000 else f"≤ {bound / 1_000:g} s"


@dataclass(frozen=True, slots=True)
class Row:
    """One name of a facet: how many posts, and what share of all."""

    name: str
    posts: int
    share: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A span and its bars, the running one last; `total` is all of them."""

    span: Span
    at: datetime
    bars: tuple[Bar, ...]
    total: Tally

    @property
    def before(self) -> Tally:
        """All bars but the running one: it changes when the next begins, and no sooner."""
        return add_up(bar.tally for bar in self.bars[:-1])

    @property
    def latencies(self) -> tuple[tuple[str, str], ...]:
        """The quantiles of latency in words, by name."""
        return tuple((f"p{100 * each:.0f}", bound_words(latency_under(self.total, each))) for each in QUANTILES)

    @property
    def intents(self) -> tuple[Row, ...]:
        """The intents that came, the most frequent first."""
        found = sorted(self.total.intents.items(), key=lambda each: (-each[1], each[0]))
        return tuple(Row(name, posts, posts / self.total.posts) for name, posts in found)

    @property
    def latency_rows(self) -> tuple[Row, ...]:
        """Posts by how long their request took, without the bins that have none."""
        found = zip((*map(bound_words, LATENCY_BOUNDS_MS), bound_words(inf)), latency_bins(self.total), strict=True)
        return tuple(Row(name, each.posts, each.posts / self.total.posts) for name, each in found if each.posts)

    @property
    def routes(self) -> tuple[Row, ...]:
        """Every route."""
        return tuple(
            Row(name, posts, posts / max(1, self.total.posts))
            for name, posts in ((name, self.total.routes.get(name, 0)) for name in ROUTES)
        )


def figures_of(span: Span, at: datetime, bars: Sequence[Bar]) -> Figures:
    """The figures of a span at that time."""
    return Figures(span, at, tuple(bars), add_up(bar.tally for bar in bars))
