"""What the journal keeps of one decision, and of what another model made of its post. Owns both; how they lie in a
database stands in `tables`.

No raw text, no handle and no unmasked bio can get in: of a post, an entry has only its id, its time, the pair of texts
that the model read, which rendering has redacted, and, only where the server was given a key for it, a pseudonym of its
author.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from time import perf_counter
from typing import Literal

from data.handles import normal_handle
from data.post import Post
from data.taxonomy import Route
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
    author: str | None = None
    """A pseudonym, where the server has a key to make one."""


def _author_of(post: Post, key: str | None) -> str | None:
    handle = normal_handle(post.author.handle) if key and post.author and post.author.handle else ""
    return pseudonym_of(handle, key) if key and handle else None


def pseudonym_of(handle: str, key: str) -> str:
    """A name for an account that leads back to it only for who has the key: a keyed BLAKE2b, 32 hexadecimal digits."""
    return blake2b(handle.encode("utf-8", "surrogatepass"), key=key.encode()[:64], digest_size=16).hexdigest()


def entries_of(
    posts: Sequence[Post],
    predictions: Sequence[Prediction],
    answers: Sequence[PredictResponse],
    *,
    caller: Caller,
    predictor: Predictor,
    lane: Lane = "live",
    author_key: str | None = None,
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
            author=_author_of(post, author_key),
        )
        for post, prediction, answer in zip(posts, predictions, answers, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What another model made of an answered post: a shadow, or beside a canary the champion. It answered nobody.

    `answered` are the probabilities of the routes of the model that did.
    """

    prediction_id: str
    received_at: datetime
    model_version: str
    route: str
    action: str
    routes: Mapping[Route, float]
    answered: Mapping[Route, float]


def comparisons_of(
    answers: Sequence[PredictResponse],
    answered: Sequence[Prediction],
    others: Sequence[Prediction],
    *,
    model_version: str,
    received_at: datetime,
) -> list[Comparison]:
    """One for each answer; `model_version` is that of the model that made `others`. Copies nothing."""
    return [
        Comparison(
            prediction_id=answer.prediction_id,
            received_at=received_at,
            model_version=model_version,
            route=other.route,
            action=other.decision.action,
            routes=other.routes,
            answered=own.routes,
        )
        for answer, own, other in zip(answers, answered, others, strict=True)
    ]
