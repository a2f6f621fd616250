"""Ray Serve: `python -m evaluation.benchmarks.serving.peers.ray_app PORT`, until it is stopped."""

import signal
import sys

import ray
from ray import serve
from starlette.requests import Request

from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.peers.model import Pair, RouteModel, Verdict

LOGGING = {"enable_access_log": False, "log_level": "WARNING"}


@serve.deployment(
    num_replicas=cores(), max_ongoing_requests=64, ray_actor_options={"num_cpus": 1}, logging_config=LOGGING
)
class Routes:
    """The model behind Ray Serve: one replica a core."""

    def __init__(self) -> None:
        self.model = RouteModel()

    # What waits is taken together; an idle replica waits for nothing.
    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.0)
    async def judge(self, pairs: list[Pair]) -> list[Verdict]:
        """A verdict for each pair."""
        return self.model.judge(pairs)

    async def __call__(self, request: Request) -> Verdict:
        """The verdict for the pair in a request's body."""
        verdict: Verdict = await self.judge(await request.json())
        return verdict


if __name__ == "__main__":
    ray.init(num_cpus=cores(), include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=LOGGING)
    serve.run(Routes.bind(), route_prefix="/predict")  # type: ignore[attr-defined] # of the untyped decorator
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
