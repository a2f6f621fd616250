"""LitServe with all of this server's work: `python -m evaluation.benchmarks.serving.peers.litserve_whole PORT`.

What another server costs for the same answer: a post as callers send it is checked, rendered, masked, guarded, run
and decided by `Predictor`, the same code that this server runs. There is no journal, deadline or refusal.
"""

import sys
from dataclasses import asdict
from typing import Any

import litserve

from data.post import Post
from evaluation.benchmarks.serving.peers.machine import bundle, cores
from models.bundle import load_bundle
from models.predictor import Predictor


class WholeApi(litserve.LitAPI):
    """The predictor behind LitServe, a post at a time; why no batches, says `litserve_server`."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's signature)
        """Loads the bundle in a worker."""
        self.predictor = Predictor.load(load_bundle(bundle()))

    def decode_request(self, request: dict[str, Any]) -> Post:
        """The post, checked."""
        return Post.model_validate(request)

    def predict(self, post: Post) -> dict[str, Any]:
        """The route, the probabilities and the decision."""
        found = self.predictor.predict([post])[0]
        decision = asdict(found.decision)
        return {"label": found.route, "routes": found.routes, "intents": found.intents, "decision": decision}

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The answer as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(WholeApi(), accelerator="cpu", workers_per_device=cores(), timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
