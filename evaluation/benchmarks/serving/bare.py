"""The limit: the model in a loop, without a server. What every figure of a server is set against.

Two loops over the same rendered posts: `tokenize + session.run` alone, and `Predictor.predict`, which also renders,
masks, guards and decides, as this server does and no peer.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np

from data.dependencies import needs_group
from data.taxonomy import ROUTES
from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.results import Bare, Loop
from evaluation.benchmarks.serving.workload import Item
from models.bundle import Bundle
from models.classifier import INPUTS, OUTPUTS, session_options
from models.predictor import Predictor
from models.reading import load_tokenizer

with needs_group("bench", "The serving benchmark"):
    import psutil
import onnxruntime

IDLE_PER_S = 20
"""Rate of the idle scenario: 50 ms between two posts, so that no two are in work at once."""
MEGABYTE = 1_000_000
Call = Callable[[Item], object]


class BareModel:
    """The graph and the tokenizer of a bundle, and nothing else. One post a run, one intra-op thread, as is served."""

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer = load_tokenizer(bundle.tokenizer_path, bundle.manifest.reading)
        self._session = onnxruntime.InferenceSession(
            str(bundle.model_path), session_options(), providers=["CPUExecutionProvider"]
        )

    def run(self, item: Item) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """The route logits `[1, 4]` of one post."""
        encoded = self._tokenizer.encode(item.rendered.text, item.rendered.context)
        parts = (encoded.ids, encoded.attention_mask, encoded.type_ids)
        feed = {name: np.array([part], dtype=np.int64) for name, part in zip(INPUTS, parts, strict=True)}
        route: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = self._session.run(OUTPUTS, feed)[0]
        return route

    def label(self, item: Item) -> str:
        """The most probable route of one post."""
        return ROUTES[int(self.run(item).argmax())]


def _timed(call: Call, items: Sequence[Item], seconds: float, every_s: float = 0.0) -> list[float]:
    """Milliseconds of each call, one after the other; with `every_s`, each begins at its own time on the clock."""
    times: list[float] = []
    start = time.perf_counter()
    for number in count():
        begin = start + number * every_s
        if max(begin, time.perf_counter()) - start >= seconds:
            return times
        if (pause := begin - time.perf_counter()) > 0:
            time.sleep(pause)
        began = time.perf_counter()
        call(items[number % len(items)])
        times.append((time.perf_counter() - began) * 1_000)
    return times


def _limit(call: Call, items: Sequence[Item], seconds: float) -> tuple[float, float]:
    """Posts a second with one thread a core, and CPU seconds for 1,000 of them."""
    threads = cores()

    def work(first: int) -> int:
        end = time.perf_counter() + seconds
        for number in count():
            if time.perf_counter() >= end:
                return number
            call(items[(first + number) % len(items)])
        return 0

    with ThreadPoolExecutor(threads) as pool:
        cpu_s, start = time.process_time(), time.perf_counter()
        done = sum(pool.map(work, [place * len(items) // threads for place in range(threads)]))
        took_s = time.perf_counter() - start
    return done / took_s, (time.process_time() - cpu_s) / done * 1_000


def measure_loop(call: Call, items: Sequence[Item], seconds: float) -> Loop:
    """What `call` costs a post; `seconds` for each of three measurements, after a short warm-up."""
    _timed(call, items, seconds / 10)
    alone = _timed(call, items, seconds)
    paced = _timed(call, items, seconds, 1 / IDLE_PER_S)
    limit_per_s, cpu_s_per_1000 = _limit(call, items, seconds)
    return Loop(
        p50_ms=float(np.percentile(alone, 50)),
        p90_ms=float(np.percentile(alone, 90)),
        p99_ms=float(np.percentile(alone, 99)),
        paced_p50_ms=float(np.percentile(paced, 50)),
        paced_p99_ms=float(np.percentile(paced, 99)),
        limit_per_s=limit_per_s,
        cpu_s_per_1000=cpu_s_per_1000,
    )


def measure_bare(bundle: Bundle, items: Sequence[Item], seconds: float) -> Bare:
    """Both loops over the posts, and the memory of this process with the model alone in it."""
    model = measure_loop(BareModel(bundle).run, items, seconds)
    memory = psutil.Process().memory_full_info()
    predictor = Predictor.load(bundle)
    return Bare(
        model=model,
        predictor=measure_loop(lambda item: predictor.predict([item.post]), items, seconds),
        rss_mb=memory.rss / MEGABYTE,
        pss_mb=memory.pss / MEGABYTE,
    )
