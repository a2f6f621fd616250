"""LitServe: one worker process a core, `python -m evaluation.benchmarks.serving.peers.litserve_server PORT`."""

import sys

import litserve

from evaluation.benchmarks.serving.peers.machine import cores
from evaluation.benchmarks.serving.peers.model import Pair, RouteModel, Verdict


class RouteApi(litserve.LitAPI):
    """The model behind LitServe, a post at a time.

    Its workers poll for the posts of a batch, a thousand times a second and more: batches of 8 gathered within 1 ms
    took 20 ms of CPU a post at 60 posts a second, none at all 10 ms, its `fast_queue` 11 ms (in turns, busy machine).
    """

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's signature)
        """Loads the model in a worker."""
        self.model = RouteModel()

    def decode_request(self, request: Pair) -> Pair:
        """The pair as it came."""
        return request

    def predict(self, pair: Pair) -> Verdict:
        """The verdict for a pair."""
        return self.model.judge([pair])[0]

    def encode_response(self, output: Verdict) -> Verdict:
        """The verdict as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(RouteApi(), accelerator="cpu", workers_per_device=cores(), timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
