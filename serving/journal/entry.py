"""What the journal keeps of one decision. Owns the entry; how it lies in a database stands in `tables`.

No raw text, no handle and no unmasked bio can get in: of a post, an entry has only its id, its time, and the pair of
texts that the model read, which rendering has redacted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Literal

from data.post import Post
from models.bundle import MODEL_FILE
from models.predictor import Prediction, Predictor
from serving.wire import PredictResponse

Lane = Literal["live", "shadow", "canary"]
"""Who judged: the model in service, one that only looks on, or the one on trial that answers a share."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The request that is answered. `received_at` is the time of day, `started_at_s` the same on `perf_counter`."""

    request_id: str
    key_name: str | None
    received_at: datetime
    started_at_s: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision: what was read, what was answered, by which model, for whom. `posted_at` is the post's own."""

    caller: Caller
    posted_at: datetime | None
    prediction: Prediction
    answer: PredictResponse
    model_sha256: str
    latency_ms: float
    lane: Lane


def entries_of(
    posts: Sequence[Post],
    predictions: Sequence[Prediction],
    answers: Sequence[PredictResponse],
    *,
    caller: Caller,
    predictor: Predictor,
    lane: Lane = "live",
) -> list[Entry]:
    """The entries for posts that `predictor` has just judged, in order. Copies nothing, so it costs next to nothing."""
    latency_ms = (perf_counter() - caller.started_at_s) * 1_000
    model_sha256 = predictor.bundle.manifest.files[MODEL_FILE]
    return [
        Entry(
            caller=caller,
            posted_at=post.posted_at,
            prediction=prediction,
            answer=answer,
            model_sha256=model_sha256,
            latency_ms=latency_ms,
            lane=lane,
        )
        for post, prediction, answer in zip(posts, predictions, answers, strict=True)
    ]
