"""What a caller gets: a decision for every post, whatever the server did, and errors for the caller's own mistakes.

    ClientError
    |- PostRefusedError  a post, or the request made of posts, is not valid (400, 413, 415, 422, or seen before sending)
    |- KeyRefusedError   the key is missing, unknown, expired or lacks the scope (401, 403)
    |- AddressError      there is no such interface at that address (404, 405)
    '- UnavailableError  a question that has no fallback was not answered

Each carries `fallback`, the decision `agent`: who catches it without reading it still does the safe thing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from data.post import Post
from serving.client.patience import Reply
from serving.wire import (
    BatchResponse,
    DecisionAnswer,
    ErrorBody,
    ErrorResponse,
    PredictRequest,
    PredictResponse,
    ReasonAnswer,
)

MAX_BATCH_BYTES = 1_900_000
"""A little under what a server reads by default (2 MiB, docs/operations.md)."""
_FALLBACK_CODE = "fallback"
_MAX_DETAIL_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Cause:
    """Why there is no answer: the server's own code or one of `no_answer`, `answer_not_understood`; and its status."""

    code: str
    message: str
    status: int | None = None


def fallback_for(cause: Cause) -> DecisionAnswer:
    """The decision of every failure: an agent, for the reason `fallback`."""
    detail = f"{cause.code}: {cause.message}"[:_MAX_DETAIL_CHARACTERS]
    reason = ReasonAnswer(code=_FALLBACK_CODE, detail=detail)
    return DecisionAnswer(action="agent", queue="agents", abstained=False, move_to_private=False, reasons=(reason,))


class ClientError(Exception):
    """A mistake that trying again does not mend. `fallback` is what to do with the posts meanwhile."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.fallback = fallback_for(cause)


class PostRefusedError(ClientError):
    """A post, or the request made of posts, is not valid."""


class KeyRefusedError(ClientError):
    """The key is missing, unknown or expired, or may not do this."""


class AddressError(ClientError):
    """The server has no such interface."""


class UnavailableError(ClientError):
    """The server did not answer a question that has no fallback."""


_MISTAKES: Mapping[int, type[ClientError]] = {
    400: PostRefusedError,
    401: KeyRefusedError,
    403: KeyRefusedError,
    404: AddressError,
    405: AddressError,
    413: PostRefusedError,
    415: PostRefusedError,
    422: PostRefusedError,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What to do with one post: always `decision`; the whole `answer`, or else the `cause` that there is none."""

    post_id: str | None
    decision: DecisionAnswer
    answer: PredictResponse | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the posts it asks about."""

    path: str
    body: bytes | None
    posts: tuple[PredictRequest, ...]
    many: bool = False


def _request_of(post: Post | Mapping[str, object]) -> PredictRequest:
    if isinstance(post, PredictRequest):
        return post
    known = set(PredictRequest.model_fields)
    try:
        return PredictRequest.model_validate(post.model_dump(include=known) if isinstance(post, Post) else dict(post))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the whole post"
        message = (
            f"The post was not sent: {field} is not valid; wanted: {first['msg']}. "
            "Correct it; docs/api.md lists all fields."
        )
        raise PostRefusedError(Cause("invalid_post", message)) from None


def call_for(post: Post | Mapping[str, object]) -> Call:
    """The request that asks about one post.

    Raises:
        PostRefusedError: when it is not valid.
    """
    request = _request_of(post)
    return Call("/v1/predict", request.model_dump_json(exclude_none=True).encode(), (request,))


def calls_for(posts: Sequence[Post | Mapping[str, object]], batch_posts: int) -> Iterator[Call]:
    """The requests that ask about posts, in order, each of at most `batch_posts` and `MAX_BATCH_BYTES`.

    Raises:
        PostRefusedError: when one of them is not valid; then none is sent.
    """
    requests = [_request_of(post) for post in posts]
    bodies = [request.model_dump_json(exclude_none=True).encode() for request in requests]
    start, size_bytes = 0, 0
    for end, body in enumerate(bodies):
        size_bytes += len(body) + 1
        if end > start and (end - start == batch_posts or size_bytes > MAX_BATCH_BYTES):
            yield _batch_call(requests[start:end], bodies[start:end])
            start, size_bytes = end, len(body) + 1
    if bodies:
        yield _batch_call(requests[start:], bodies[start:])


def _batch_call(requests: Sequence[PredictRequest], bodies: Sequence[bytes]) -> Call:
    return Call("/v1/predict/batch", b'{"posts":[%b]}' % b",".join(bodies), tuple(requests), many=True)


def _answers(call: Call, body: bytes) -> tuple[PredictResponse, ...] | None:
    """The answers in a body, `None` where it does not hold one for each post of the call."""
    try:
        if call.many:
            answers = BatchResponse.model_validate_json(body, strict=True).results
        else:
            answers = (PredictResponse.model_validate_json(body, strict=True),)
    except ValidationError:
        return None
    return answers if [answer.id for answer in answers] == [post.id for post in call.posts] else None


def _error_of(body: bytes) -> ErrorBody | None:
    try:
        return ErrorResponse.model_validate_json(body, strict=True).error
    except ValidationError:
        return None


def cause_of(reply: Reply) -> Cause:
    """Why a reply is no answer.

    Raises:
        ClientError: when the caller is to blame, and the server says so in its own words.
    """
    if reply.status is None:
        message = f"The server did not answer in time: {reply.trouble}. Wanted: an answer. Look whether it runs."
        return Cause("no_answer", message)
    error = _error_of(reply.body) if reply.status != 200 else None
    if error is None:
        message = (
            f"The answer with status {reply.status} and {len(reply.body)} bytes could not be understood. Wanted: one "
            "of docs/api.md. Look what stands between this client and the server, and whether both are of like age."
        )
        return Cause("answer_not_understood", message, reply.status)
    cause = Cause(error.code, error.message, reply.status)
    if reply.status in _MISTAKES:
        raise _MISTAKES[reply.status](cause)
    return cause


def results_of(call: Call, reply: Reply) -> list[Result]:
    """A result for each post of a call: the server's valid answers, or else for all of them the fallback.

    Raises:
        ClientError: when the caller is to blame, and the server says so in its own words.
    """
    answers = _answers(call, reply.body) if reply.status == 200 else None
    if answers is not None:
        return [Result(answer.id, answer.decision, answer=answer) for answer in answers]
    cause = cause_of(reply)
    return [Result(post.id, fallback_for(cause), cause=cause) for post in call.posts]
