"""The same graph and tokenizer for every peer: a pair of texts in, the most probable route and its score out.

Runs in a peer's environment: numpy, onnxruntime and tokenizers are there, nothing of ours is. Where a batch comes, it
is padded to its longest post, as that peer's users would do; one post runs as it is.
"""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from evaluation.benchmarks.serving.peers.machine import bundle

ROUTES = ("simple", "complex", "sensitive", "influencer")
WINDOW_TOKENS = 256
"""The window of the bundle that ships; every post of the load fits it."""
Pair = dict[str, str]
"""A post as the model reads it, rendered by whoever sends it: `text` and `context`."""
Verdict = dict[str, str | float]
"""The most probable route and its probability: `label` and `score`."""


class RouteModel:
    """One session on one intra-op thread: at post length more threads cost more than they give.

    Threads do not spin between runs: spinning takes the core from the other worker. These are this server's own
    options, which were measured best here, so that a peer is not beaten by a worse choice of ours.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(bundle() / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(bundle() / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_length=WINDOW_TOKENS, strategy="only_first")
        self._tokenizer.enable_padding()

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """A verdict for each pair, in order."""
        encoded = self._tokenizer.encode_batch([(pair["text"], pair["context"]) for pair in pairs])
        feed = {
            "input_ids": np.array([each.ids for each in encoded], dtype=np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], dtype=np.int64),
            "token_type_ids": np.array([each.type_ids for each in encoded], dtype=np.int64),
        }
        (logits,) = self._session.run(["route"], feed)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        return [{"label": ROUTES[int(row.argmax())], "score": float(row.max())} for row in shares]
