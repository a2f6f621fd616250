"""How far people agree on labels: Krippendorff's alpha with an interval, and which labels are taken for which.

Alpha for nominal data with missing values, from the coincidences of labels (Krippendorff, "Computing Krippendorff's
Alpha-Reliability", 2011). It is 1 where all agree, 0 where they agree as often as chance would have it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BOOTSTRAP_DRAWS = 1_000
CONFIDENCE = 0.95
_SHOWN_CONFUSIONS = 10


@dataclass(frozen=True, slots=True)
class Labelling:
    """What one person said of one post."""

    post_id: str
    annotator: str
    labels: Mapping[str, str]
    """By kind: `route`, `intent`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree on one kind of label."""

    kind: str
    alpha: float | None
    """`None` where it is not defined: nobody labelled twice, or everybody used one label alone."""
    low: float | None
    high: float | None
    """The 95 % interval by drawing posts anew."""
    posts: int
    """Those with at least two people."""
    annotators: int
    labels: tuple[str, ...]
    coincidences: tuple[tuple[float, ...], ...]
    """`[c, c]`: how often two labels met on one post; a post with m people weighs m. Symmetric."""

    def agreed(self, label: str) -> float:
        """The share of a label's meetings that were with itself, 0 to 1."""
        row = self.coincidences[self.labels.index(label)]
        return row[self.labels.index(label)] / sum(row)

    @property
    def confusions(self) -> list[tuple[str, str, float]]:
        """The pairs of labels that were taken for each other, the most frequent first."""
        pairs = [
            (one, other, self.coincidences[i][j])
            for i, one in enumerate(self.labels)
            for j, other in enumerate(self.labels[:i])
        ]
        return sorted((pair for pair in pairs if pair[2]), key=lambda pair: (-pair[2], pair[0], pair[1]))

    def as_json(self) -> dict[str, Any]:
        """The agreement as JSON values."""
        return asdict(self)

    def as_text(self) -> str:
        """The agreement for people."""
        if self.alpha is None:
            return f"{self.kind}: no alpha; it needs posts that two people labelled, and at least two labels in use."
        head = (
            f"{self.kind}: alpha {self.alpha:.3f} ({self.low:.3f} to {self.high:.3f}) over {self.posts:,} posts "
            f"and {self.annotators} people"
        )
        weak = sorted(self.labels, key=self.agreed)[:_SHOWN_CONFUSIONS]
        lines = [f"  {label:<24} agreed on {self.agreed(label):.0%}" for label in weak]
        lines += [f"  {one} / {other}: {n:g} times" for one, other, n in self.confusions[:_SHOWN_CONFUSIONS]]
        return "\n".join([head, *lines])


def _alpha(coincidences: FloatArray) -> float | None:
    """Alpha out of the coincidences `[c, c]`."""
    totals = coincidences.sum(axis=1)
    n = totals.sum()
    expected = n**2 - (totals**2).sum()
    if n <= 1 or expected <= 0:
        return None
    return float(1 - (n - 1) * (n - np.trace(coincidences)) / expected)


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal data; a unit holds the labels that it was given, in any order.

    `None` where it is not defined: no unit has two labels, or one label alone is in use.
    """
    return _alpha(_coincidences(_counts(units)[0]))


def _counts(units: Iterable[Sequence[str]]) -> tuple[FloatArray, tuple[str, ...]]:
    """How often each unit with two labels or more was given each label, `[u, c]`; and the labels."""
    paired = [Counter(unit) for unit in units if len(unit) > 1]
    labels = tuple(sorted({label for unit in paired for label in unit}))
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(paired), len(labels)))
    for row, unit in enumerate(paired):
        for label, n in unit.items():
            counts[row, place[label]] = n
    return counts, labels


def _coincidences(counts: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """The coincidences `[c, c]` of counts `[u, c]`, with a weight for each unit `[u]` where given."""
    people = counts.sum(axis=1)
    share = (np.ones(len(counts)) if weights is None else weights) / np.maximum(people - 1, 1)
    matrix: FloatArray = (counts * share[:, None]).T @ counts - np.diag((counts * share[:, None]).sum(axis=0))
    return matrix


def _interval(counts: FloatArray, seed: int) -> tuple[float | None, float | None]:
    """The 95 % interval of alpha by drawing units with replacement (percentile bootstrap)."""
    generator, drawn = np.random.default_rng(seed), []
    n = len(counts)
    for _ in range(BOOTSTRAP_DRAWS):
        weights = np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)
        if (alpha := _alpha(_coincidences(counts, weights))) is not None:
            drawn.append(alpha)
    if not drawn:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def measure(labellings: Sequence[Labelling], kind: str, *, seed: int = 1) -> Agreement:
    """The agreement on one kind of label; a person who labelled a post twice counts by the last time."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for each in labellings:
        said[each.post_id][each.annotator] = each.labels[kind]
    units = [tuple(labels.values()) for labels in said.values() if len(labels) > 1]
    counts, labels = _counts(units)
    matrix = _coincidences(counts)
    low, high = _interval(counts, seed) if units else (None, None)
    return Agreement(
        kind=kind,
        alpha=_alpha(matrix),
        low=low,
        high=high,
        posts=len(units),
        annotators=len({each.annotator for each in labellings}),
        labels=labels,
        coincidences=tuple(tuple(float(n) for n in row) for row in matrix),
    )


def majority(labellings: Sequence[Labelling], kind: str) -> dict[str, str]:
    """The label that most people gave a post, by its id; posts without such a label are left out."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for each in labellings:
        said[each.post_id][each.annotator] = each.labels[kind]
    found = {}
    for post_id, labels in said.items():
        (label, n), *others = Counter(labels.values()).most_common(2)
        if not others or others[0][1] < n:
            found[post_id] = label
    return found
