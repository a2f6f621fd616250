"""BentoML, its workers and adaptive batches: `bentoml serve MODULE:Routes`, with this module."""

import bentoml

from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.peers.model import Pair, RouteModel, Verdict


@bentoml.service(workers=cores(), traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Routes:
    """The model behind BentoML: one worker process a core, adaptive batching within 50 ms."""

    def __init__(self) -> None:
        self.model = RouteModel()

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=50)
    def predict(self, pairs: list[Pair]) -> list[Verdict]:
        """A verdict for each pair."""
        return self.model.judge(pairs)
