"""LitServe: one worker process a core, `python -m evaluation.benchmarks.serving.peers.litserve_server PORT`."""

import sys

import litserve

from evaluation.benchmarks.serving.peers.model import Pair, RouteModel, Verdict

CORES = 2


class RouteApi(litserve.LitAPI):
    """The model behind LitServe, batched."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's signature)
        """Loads the model in a worker."""
        self.model = RouteModel()

    def decode_request(self, request: Pair) -> Pair:
        """The pair as it came."""
        return request

    def batch(self, inputs: list[Pair]) -> list[Pair]:
        """The pairs of a batch."""
        return inputs

    def predict(self, pairs: list[Pair]) -> list[Verdict]:
        """A verdict for each pair."""
        return self.model.judge(pairs)

    def unbatch(self, output: list[Verdict]) -> list[Verdict]:
        """The verdicts of a batch."""
        return output

    def encode_response(self, output: Verdict) -> Verdict:
        """The verdict as it is."""
        return output


if __name__ == "__main__":
    # A batch of 8 takes what waits; no time is spent waiting for more.
    api = RouteApi(max_batch_size=8, batch_timeout=0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=CORES, timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
