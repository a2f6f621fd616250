"""What a batch brings: whether a window keeps its bytes in one, and what a window costs alone and with others.

The graphs are run here as they are, many windows at once; `models.classifier` runs every window alone.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

import numpy as np
from tokenizers import Encoding

from data.progress import Watch, unwatched
from models.classifier import INPUTS, OUTPUTS, Session
from training.static import Feed

SameBytes = Literal["padded", "equal", "alone"]
"""Where a window gets the bytes that it gets alone: in any batch, in a batch of equal lengths, or nowhere else."""
Lengths = Literal["equal", "mixed"]
SIZES = (1, 4, 8, 16)
"""Windows in one run."""
_LENGTH_QUANTILES = (0.1, 0.5, 0.9)
_TURNS = 3
"""Every cost is the median of so many turns, all graphs and sizes once a turn."""
_MIXED_WINDOWS = 32
_INVARIANCE_WINDOWS = 8


@dataclass(frozen=True, slots=True)
class BatchCost:
    """What a window of `tokens` tokens (their mean) costs on one thread in batches of `windows`.

    Windows of `equal` length, or `mixed` as they come and padded to the longest of their batch: `padding_share` of
    what is then computed is padding.
    """

    name: str
    lengths: Lengths
    windows: int
    tokens: float
    padding_share: float
    ms_a_window: float


def pad(windows: Sequence[Encoding], tokens: int | None = None) -> Feed:
    """One batch `[n, t]` of windows, all cut to `tokens` where given, padded to the longest otherwise."""
    longest = tokens or max(len(window.ids) for window in windows)
    arrays = np.zeros((len(INPUTS), len(windows), longest), dtype=np.int64)
    for row, window in enumerate(windows):
        for place, values in enumerate((window.ids, window.attention_mask, window.type_ids)):
            kept = values[:longest]
            arrays[place, row, : len(kept)] = kept
    return dict(zip(INPUTS, arrays, strict=True))


def _bytes(session: Session, feed: Feed) -> list[bytes]:
    route, intent = session.run(OUTPUTS, feed)
    return [one.tobytes() + other.tobytes() for one, other in zip(route, intent, strict=True)]


def same_bytes(session: Session, windows: Sequence[Encoding]) -> SameBytes:
    """How far the graph of `session` keeps a window from its neighbours, as seen on these windows of mixed length."""
    few = windows[:_INVARIANCE_WINDOWS]
    shortest = min(len(window.ids) for window in few)
    if _bytes(session, pad(few, shortest)) != [_bytes(session, pad([window], shortest))[0] for window in few]:
        return "alone"
    together = _bytes(session, pad(few))
    return "padded" if together == [_bytes(session, pad([window]))[0] for window in few] else "equal"


@dataclass(frozen=True, slots=True)
class _Load:
    """Batches that are timed as one, and what they hold."""

    lengths: Lengths
    windows: int
    tokens: float
    padding_share: float
    feeds: tuple[Feed, ...]

    def time_ms(self, session: Session) -> float:
        """Milliseconds a window."""
        start = time.perf_counter()
        for feed in self.feeds:
            session.run(OUTPUTS, feed)
        return 1_000 * (time.perf_counter() - start) / sum(len(feed[INPUTS[0]]) for feed in self.feeds)


def _batches(windows: Sequence[Encoding], size: int, tokens: int | None) -> _Load:
    feeds = tuple(pad(windows[at : at + size], tokens) for at in range(0, len(windows), size))
    real = sum(min(len(window.ids), tokens or len(window.ids)) for window in windows)
    padding_share = 1 - real / sum(feed[INPUTS[0]].size for feed in feeds)
    return _Load("equal" if tokens else "mixed", size, real / len(windows), padding_share, feeds)


def _loads(windows: Sequence[Encoding]) -> list[_Load]:
    """Equal lengths, short to long, then the windows as they come; each in all sizes."""
    lengths = np.array([len(window.ids) for window in windows])
    loads = []
    for tokens in (int(each) for each in np.quantile(lengths, _LENGTH_QUANTILES)):
        long_enough = cycle(window for window in windows if len(window.ids) >= tokens)
        equal = list(islice(long_enough, max(SIZES)))
        loads += [_batches(equal, size, tokens) for size in SIZES]
    return [*loads, *(_batches(windows[:_MIXED_WINDOWS], size, None) for size in SIZES)]


def batch_costs(
    sessions: Mapping[str, Session], windows: Sequence[Encoding], *, watch: Watch = unwatched
) -> tuple[BatchCost, ...]:
    """What a window costs each of the named sessions in batches of `SIZES`: of equal lengths, and padded as they come.

    Only the time is of interest, so windows are cut to a common length where equal ones are wanted.
    """
    loads = _loads(windows)
    work = [(name, session, load) for name, session in sessions.items() for load in loads]
    took_ms: list[list[float]] = [[] for _ in work]
    for _ in watch(range(_TURNS), "batching", _TURNS):
        for place, (_, session, load) in enumerate(work):
            took_ms[place].append(load.time_ms(session))
    return tuple(
        BatchCost(name, load.lengths, load.windows, load.tokens, load.padding_share, float(np.median(took)))
        for (name, _, load), took in zip(work, took_ms, strict=True)
    )
