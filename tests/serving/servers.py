"""A server that does to a client what it is told to, and the clock by which the client waits for it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx

from serving.errors import ApiError
from serving.wire import BatchResponse, PredictRequest, PredictResponse

Step = Callable[[httpx.Request], httpx.Response]
"""What the server does with one request; it may raise what a broken network raises."""
ANSWER: dict[str, Any] = {
    "id": None,
    "prediction_id": "01KAN4Z1WFV8T9KT2V1JY5DB7N",
    "route": {
        "label": "simple",
        "confidence": 0.981,
        "probabilities": {"simple": 0.981, "complex": 0.017, "sensitive": 0.001, "influencer": 0.001},
    },
    "intent": {
        "label": "order_status",
        "confidence": 0.964,
        "alternatives": [{"label": "order_status", "probability": 0.964}],
    },
    "decision": {
        "action": "auto_answer",
        "queue": "auto",
        "abstained": False,
        "move_to_private": False,
        "reasons": [{"code": "simple_over_threshold", "detail": "simple 0.981 >= 0.930"}],
    },
    "due": {"acknowledge_by": "2026-11-22T09:15:00Z", "resolve_by": "2026-11-22T10:00:00Z"},
    "truncated": False,
    "versions": {"model": "2026.11.22+3fa1c2", "policy": "3", "taxonomy": "1", "rendering": "1"},
}
"""The most dangerous of valid answers: one that a machine acts upon."""


class FakeClock:
    """A clock that moves only when somebody sleeps by it; `slept` are the pauses, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class ScriptedServer(httpx.MockTransport):
    """Does the steps in order, the last one for ever; `requests` are what it was sent."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.requests: list[httpx.Request] = []
        self._steps: Sequence[Step] = list(steps)
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._steps[min(len(self.requests), len(self._steps)) - 1](request)


def posts_of(request: httpx.Request) -> list[PredictRequest]:
    """The posts of a request, read as a server reads them."""
    body = json.loads(request.content)
    posts = body["posts"] if request.url.path.endswith("/batch") else [body]
    return [PredictRequest.model_validate(post) for post in posts]


def answer_body(request: httpx.Request) -> bytes:
    """The valid answer to whatever was asked, every post of it `auto_answer`."""
    answers = tuple(PredictResponse.model_validate({**ANSWER, "id": post.id}) for post in posts_of(request))
    if request.url.path.endswith("/batch"):
        return BatchResponse(results=answers).model_dump_json().encode()
    return answers[0].model_dump_json().encode()


def answers(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=answer_body(request))


def says(status: int, content: bytes = b"", **headers: str) -> Step:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, content=content, headers=named)


def refuses(error: ApiError) -> Step:
    """Says an error as our server does."""
    return lambda _: httpx.Response(
        error.status, content=error.body().model_dump_json().encode(), headers=dict(error.headers or {})
    )


def breaks(error: Exception) -> Step:
    def step(_: httpx.Request) -> httpx.Response:
        raise error

    return step


class _HalfBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    async def __aiter__(self) -> Any:
        for chunk in self:
            yield chunk


def hangs_up_after(share: float) -> Step:
    """Sends a share of the valid answer, from 0 to 1, and drops the connection."""

    def step(request: httpx.Request) -> httpx.Response:
        content = answer_body(request)
        return httpx.Response(200, stream=_HalfBody(content[: int(len(content) * share)]))

    return step
