"""How long each of two bundles takes for the same posts, in one run, in turns. The ratio counts: machines differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from data.post import Post
from data.progress import Watch, unwatched
from evaluation.metrics import percentile_ends
from models.predictor import Predictor

ROUNDS = 3
"""Each post is run so often by both; its fastest run is the one that nothing else on the machine disturbed."""
MAX_POSTS = 200
"""Enough for an interval of a per cent or two of the ratio; 200 posts three times by both take about ten seconds."""
_DRAWS, _SEED = 1_000, 2026


@dataclass(frozen=True, slots=True)
class Latency:
    """Median times of a post, and challenger over champion with the 95 % interval over posts drawn anew."""

    champion_ms: float
    challenger_ms: float
    ratio: float
    low: float
    high: float
    posts: int


def _seconds(predictor: Predictor, post: Post, clock: Callable[[], float]) -> float:
    start = clock()
    predictor.predict([post])
    return clock() - start


def measure_latency(
    champion: Predictor,
    challenger: Predictor,
    posts: Sequence[Post],
    *,
    watch: Watch = unwatched,
    clock: Callable[[], float] = perf_counter,
) -> Latency:
    """The latency of both on at most 200 of `posts`, evenly chosen; who comes first changes with every post."""
    chosen = [posts[place] for place in np.unique(np.linspace(0, len(posts) - 1, MAX_POSTS).astype(int))]
    pair = (champion, challenger)
    times = np.full((len(chosen), 2), np.inf)
    for predictor in pair:  # the first run of a session makes its arena
        predictor.predict(chosen[:1])
    for turn in watch(range(ROUNDS), "latency", ROUNDS):
        for row, post in enumerate(chosen):
            for side in (0, 1) if (row + turn) % 2 else (1, 0):
                times[row, side] = min(times[row, side], _seconds(pair[side], post, clock))
    rows = np.random.default_rng(_SEED).integers(len(chosen), size=(_DRAWS, len(chosen)))
    drawn = times[rows].sum(axis=1)
    low, high = percentile_ends(drawn[:, 1] / drawn[:, 0])
    ours, theirs = times.sum(axis=0)[::-1]
    medians = np.median(times, axis=0) * 1000
    return Latency(float(medians[0]), float(medians[1]), float(ours / theirs), float(low), float(high), len(chosen))
