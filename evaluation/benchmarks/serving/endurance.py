"""What is seen only over time: flat memory over many posts, what an idle server costs, how fast it starts.

This server alone, as it ships, over HTTP.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from data.progress import Say
from evaluation.benchmarks.serving.contenders import Contender
from evaluation.benchmarks.serving.load import send_closed
from evaluation.benchmarks.serving.measurement import start
from evaluation.benchmarks.serving.processes import Program, wait_until_ready
from evaluation.benchmarks.serving.workload import Item, lengthen

FLAT_SHARE = 0.05
"""How far resident memory may grow: the limit that the issue of the serving engine set."""
IDLE_SHARE = 0.005
"""Share of one core that an idle server may take: likewise."""
READY_S = 1.5
"""From process start to the first answer: likewise."""
_SETTLED_SHARE = 0.1
"""The first tenth of the posts fills arenas, caches and pools; growth is counted from there."""
_READY_WITHIN_S = 60.0
_SETTLE_S = 2.0
_LONG_EVERY, _MOST_CHARACTERS = 200, 10_000
"""Every 200th post is long, up to the longest that is allowed: several windows, the largest tensors there are, 1,500
times in a whole soak; the others are such as come."""
_CLIENTS = 16
_SLOWEST_PER_S = 20.0
"""A server slower than this is not soaked, it is broken."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sample(_Value):
    """Memory at one moment of a soak."""

    second: Annotated[float, Field(description="since the load began")]
    rss_mb: Annotated[float, Field(description="resident memory of the server's processes")]


class Soak(_Value):
    """What many posts of mixed length did to the memory of the server."""

    posts: Annotated[int, Field(description="sent")]
    answered: Annotated[int, Field(description="answers with status 200")]
    seconds: Annotated[float, Field(description="that it took")]
    settled_rss_mb: Annotated[float, Field(description="once a tenth of the time had gone by")]
    highest_rss_mb: Annotated[float, Field(description="at any time after that")]
    growth: Annotated[float, Field(description="of the second over the first")]
    passed: Annotated[bool, Field(description=f"growth of at most {FLAT_SHARE:.0%}, and every post answered")]
    samples: Annotated[list[Sample], Field(description="over the whole time")]


class Idle(_Value):
    """What a server costs that nobody asks, and how long it takes to start."""

    ready_s: Annotated[float, Field(description="median of the starts, from process start to the first answer")]
    starts_s: Annotated[list[float], Field(description="each of them, the first one with cold file caches")]
    seconds: Annotated[float, Field(description="for which nobody asked")]
    cpu_share: Annotated[float, Field(description="share of one core used in that time")]
    rss_mb: Annotated[float, Field(description="resident memory at its end")]
    pss_mb: Annotated[float, Field(description="the same, shared pages counted by their share")]
    passed: Annotated[bool, Field(description=f"at most {IDLE_SHARE:.1%} of a core, ready within {READY_S} s")]


@contextmanager
def started(contender: Contender, bundle: Path, cache: Path, body: bytes) -> Iterator[tuple[Program, str, float]]:
    """The running server, the address it answers, and the seconds it took to answer.

    Raises:
        NotStartedError: when it does not come to answer.
    """
    context, url = start(contender, cache, bundle)
    with context as program:
        yield program, url, wait_until_ready(program, url, body, _READY_WITHIN_S)


class _Watcher:
    """Samples the memory of a program from a thread until the block ends."""

    def __init__(self, program: Program, every_s: float) -> None:
        self._program, self._every_s = program, every_s
        self._over, self._thread = threading.Event(), threading.Thread(target=self._watch)
        self._began = time.perf_counter()
        self.samples: list[Sample] = []

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            self._take()

    def _take(self) -> None:
        usage = self._program.usage()
        self.samples.append(Sample(second=time.perf_counter() - self._began, rss_mb=usage.rss_mb))

    def __enter__(self) -> "_Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._take()


def judge_soak(posts: int, answered: int, samples: list[Sample]) -> Soak:
    """The verdict on samples of memory, at least one of them."""
    seconds = samples[-1].second
    settled = next(sample for sample in samples if sample.second >= _SETTLED_SHARE * seconds)
    later = [sample.rss_mb for sample in samples if sample.second >= settled.second]
    growth = max(later) / settled.rss_mb - 1
    return Soak(
        posts=posts,
        answered=answered,
        seconds=seconds,
        settled_rss_mb=settled.rss_mb,
        highest_rss_mb=max(later),
        growth=growth,
        passed=growth <= FLAT_SHARE and answered == posts,
        samples=samples,
    )


def soak(
    contender: Contender, bundle: Path, items: list[Item], *, tool: Path, cache: Path, posts: int, say: Say
) -> Soak:
    """The memory of the server over `posts` different posts of mixed length, as fast as it answers 16 clients.

    Raises:
        NotStartedError: when the server does not come to answer.
        LoadError: when the load tool fails.
    """
    directory = (cache / "bodies").absolute()
    directory.mkdir(parents=True, exist_ok=True)
    bodies = directory / "soak.jsonl"
    count = min(posts, len(items))
    bodies.write_text("\n".join(lengthen(items, count, _LONG_EVERY, _MOST_CHARACTERS)) + "\n", encoding="utf-8")
    timeout_s = _READY_WITHIN_S + posts / _SLOWEST_PER_S
    with started(contender, bundle, cache, contender.body(items[0]).encode()) as (program, url, _):
        say(f"soaking with {posts} posts of mixed length; at 300 a second that takes {posts / 300 / 60:.1f} min")
        with _Watcher(program, every_s=1.0) as watcher:
            sent = send_closed(
                tool, cache.absolute(), url, bodies, requests=posts, clients=_CLIENTS, timeout_s=timeout_s
            )
    return judge_soak(posts, sent.answered, watcher.samples)


def idle(
    contender: Contender, bundle: Path, body: bytes, *, cache: Path, seconds: float, starts: int, say: Say
) -> Idle:
    """What the server costs while nobody asks, and the time of `starts` starts.

    Raises:
        NotStartedError: when the server does not come to answer.
    """
    ready = []
    for number in range(starts):
        say(f"start {number + 1} of {starts}")
        with started(contender, bundle, cache, body) as (program, _, ready_s):
            ready.append(ready_s)
            if number == starts - 1:
                say(f"leaving it alone for {seconds:g} s")
                time.sleep(_SETTLE_S)
                before, began = program.usage(), time.perf_counter()
                time.sleep(seconds)
                after, took_s = program.usage(), time.perf_counter() - began
    share = (after.cpu_s - before.cpu_s) / took_s
    median = statistics.median(ready)
    return Idle(
        ready_s=median,
        starts_s=ready,
        seconds=took_s,
        cpu_share=share,
        rss_mb=after.rss_mb,
        pss_mb=after.pss_mb,
        passed=share <= IDLE_SHARE and median <= READY_S,
    )
