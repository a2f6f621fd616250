"""Classifiers timed against each other: they take turns, some dozens of posts at a time.

A machine that slows down slows all of them, and within its turn each has its weights in the processor's cache, as a
server would have them: taking turns post by post would charge every way for reading its weights from memory.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from data.progress import Watch, unwatched
from models.classifier import Classifier, Encoded, Logits

THREADS = 2
"""How many posts are in flight when throughput is measured: one a core of the smallest machine that is meant."""
TURN_POSTS = 48


def _turns(posts: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
    for start in range(0, len(posts), TURN_POSTS):
        yield posts[start : start + TURN_POSTS]


def _join(parts: Sequence[Logits]) -> Logits:
    return Logits(np.concatenate([each.route for each in parts]), np.concatenate([each.intent for each in parts]))


def run_in_turns(
    classifiers: Sequence[Classifier], posts: Sequence[Encoded], watch: Watch = unwatched
) -> list[tuple[Logits, npt.NDArray[np.float64]]]:
    """The logits and the milliseconds `[n]` of every post for each classifier, which take turns on a few dozen posts.

    The first post of a turn is run once more before it is timed, to bring the weights back.
    """
    said: list[list[Logits]] = [[] for _ in classifiers]
    took_ms: list[list[float]] = [[] for _ in classifiers]
    turns = list(_turns(posts))
    for turn in watch(turns, "measuring latency", len(turns)):
        for place, classifier in enumerate(classifiers):
            classifier.logits(turn[:1])
            for post in turn:
                start = time.perf_counter()
                said[place].append(classifier.logits([post]))
                took_ms[place].append(1_000 * (time.perf_counter() - start))
    return [(_join(logits), np.array(took)) for logits, took in zip(said, took_ms, strict=True)]


def run_on_threads(
    classifiers: Sequence[Classifier], posts: Sequence[Encoded], watch: Watch = unwatched
) -> list[tuple[Logits, float]]:
    """The logits of every post and the posts a second for each classifier, `THREADS` posts always in flight."""
    said: list[list[Logits]] = [[] for _ in classifiers]
    took_s = [0.0 for _ in classifiers]
    turns = list(_turns(posts))
    with ThreadPoolExecutor(THREADS) as pool:
        for turn in watch(turns, "measuring throughput", len(turns)):
            for place, classifier in enumerate(classifiers):
                list(pool.map(classifier.logits, [turn[:1]] * THREADS))
                start = time.perf_counter()
                said[place] += pool.map(classifier.logits, [[post] for post in turn])
                took_s[place] += time.perf_counter() - start
    return [(_join(logits), len(posts) / took) for logits, took in zip(said, took_s, strict=True)]
