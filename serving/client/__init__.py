"""A small typed client of the HTTP interface: says of every post what to do with it, whatever the server does.

Trouble of the server (overload, faults, silence, half or odd answers) ends as the decision `agent` with the reason
`fallback`; only mistakes of the caller are raised. Needs httpx and pydantic, and nothing of what serves.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from data.dependencies import needs_group
from data.post import Post
from serving.client.patience import Patience, Pause, Plan, Reply, Send, seconds_of
from serving.client.results import (
    AddressError,
    Call,
    Cause,
    ClientError,
    KeyRefusedError,
    PostRefusedError,
    Result,
    UnavailableError,
    call_for,
    calls_for,
    cause_of,
    results_of,
)
from serving.wire import MAX_BATCH_POSTS, MAX_TIMEOUT_MS, TIMEOUT_HEADER, ModelResponse

if TYPE_CHECKING:
    import httpx

__all__ = [
    "AddressError",
    "AsyncSignalbox",
    "Cause",
    "ClientError",
    "KeyRefusedError",
    "PostRefusedError",
    "Result",
    "Signalbox",
    "UnavailableError",
]

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""An answer to 256 posts has some 300 kB; nothing that is right comes near this."""
_MODEL = Call("/v1/model", None, ())


def _http_options(base_url: str, api_key: str | None) -> dict[str, Any]:
    """What both kinds of httpx client are made with.

    Raises:
        AddressError: when the address is not one of HTTP.
        KeyRefusedError: when the key cannot be sent as a header.
    """
    if not base_url.startswith(("http://", "https://")):
        message = f"There is no server at {base_url!r}. Wanted: an address such as http://127.0.0.1:8000. Correct it."
        raise AddressError(Cause("no_such_address", message))
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        message = "The key was not sent: it has characters that no key has. Wanted: one of `hash-key`. Copy it anew."
        raise KeyRefusedError(Cause("key_missing", message))
    headers = {"Accept-Encoding": "identity"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": base_url, "headers": headers}


def _request_options(call: Call, timeout_s: float) -> dict[str, Any]:
    headers = {TIMEOUT_HEADER: str(max(1, int(min(timeout_s * 1_000, MAX_TIMEOUT_MS))))}  # refused above its maximum
    if call.body is None:
        return {"method": "GET", "url": call.path, "headers": headers, "timeout": timeout_s}
    headers["Content-Type"] = "application/json"
    return {"method": "POST", "url": call.path, "headers": headers, "timeout": timeout_s, "content": call.body}


def _reply(response: "httpx.Response", body: bytes) -> Reply:
    return Reply(response.status_code, body, retry_after_s=seconds_of(response.headers.get("Retry-After")))


def _model_of(reply: Reply) -> ModelResponse:
    if reply.status == 200:
        try:
            return ModelResponse.model_validate_json(reply.body)
        except ValidationError:
            pass
    raise UnavailableError(cause_of(reply))


class Signalbox:
    """A client for one server, to be used in a `with` block or closed; threads may share it.

    `timeout_s` is the time for one request with all its `retries`; a batch over `batch_posts` is several requests.
    httpx waits as long for each step (to connect, to send, for the next bytes of an answer), so a server that is slow
    at several may take a few times as much, and one that sends the head of its answer byte by byte longer still.
    `AsyncSignalbox` keeps to `timeout_s` whatever the server does.
    `transport`, `clock`, `sleep` and `jitter` are for tests.

    Raises:
        MissingGroupError: when httpx is not installed.
        ClientError: when the address or the key cannot be one.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: int = 2,
        batch_posts: int = MAX_BATCH_POSTS,
        transport: "httpx.BaseTransport | None" = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        with needs_group("client", "The Python client"):
            import httpx
        self._http = httpx.Client(**_http_options(base_url, api_key), transport=transport)
        self._patience = Patience(retries, clock, jitter)
        self._timeout_s = timeout_s
        self._batch_posts = batch_posts
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing; closes the connections."""
        self._http.close()

    def predict(self, post: Post | Mapping[str, object]) -> Result:
        """What to do with one post.

        Raises:
            ClientError: when the post, the key or the address is wrong; never for trouble of the server.
        """
        call = call_for(post)
        return results_of(call, self._ask(call))[0]

    def predict_batch(self, posts: Sequence[Post | Mapping[str, object]]) -> list[Result]:
        """What to do with each of any number of posts, in order. A request that fails falls back for its own posts.

        Raises:
            ClientError: when a post, the key or the address is wrong; never for trouble of the server.
        """
        calls = list(calls_for(posts, self._batch_posts))
        return [result for call in calls for result in results_of(call, self._ask(call))]

    def model(self) -> ModelResponse:
        """What is in service.

        Raises:
            ClientError: when the key or the address is wrong.
            UnavailableError: when the server does not say.
        """
        return _model_of(self._ask(_MODEL))

    def _ask(self, call: Call) -> Reply:
        plan: Plan = self._patience.plan(self._timeout_s)
        step = next(plan)
        while True:
            try:
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                    step = plan.send(None)
                else:
                    step = plan.send(self._send(call, step))
            except StopIteration as end:
                last: Reply = end.value
                return last

    def _send(self, call: Call, step: Send) -> Reply:
        import httpx

        clock = self._patience.clock
        deadline_s, body = clock() + step.timeout_s, bytearray()
        try:
            with self._http.stream(**_request_options(call, step.timeout_s)) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if clock() >= deadline_s:
                        return Reply(None, trouble="it answered too slowly")
                    if len(body) > MAX_ANSWER_BYTES:
                        return Reply(response.status_code)
                return _reply(response, bytes(body))
        except httpx.RequestError as error:
            return Reply(None, trouble=type(error).__name__)


class AsyncSignalbox:
    """The same for asyncio: `async with`, or `aclose`; tasks may share it."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: int = 2,
        batch_posts: int = MAX_BATCH_POSTS,
        transport: "httpx.AsyncBaseTransport | None" = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        with needs_group("client", "The Python client"):
            import httpx
        self._http = httpx.AsyncClient(**_http_options(base_url, api_key), transport=transport)
        self._patience = Patience(retries, clock, jitter)
        self._timeout_s = timeout_s
        self._batch_posts = batch_posts
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing; closes the connections."""
        await self._http.aclose()

    async def predict(self, post: Post | Mapping[str, object]) -> Result:
        """What to do with one post.

        Raises:
            ClientError: when the post, the key or the address is wrong; never for trouble of the server.
        """
        call = call_for(post)
        return results_of(call, await self._ask(call))[0]

    async def predict_batch(self, posts: Sequence[Post | Mapping[str, object]]) -> list[Result]:
        """What to do with each of any number of posts, in order. A request that fails falls back for its own posts.

        Raises:
            ClientError: when a post, the key or the address is wrong; never for trouble of the server.
        """
        calls = list(calls_for(posts, self._batch_posts))
        return [result for call in calls for result in results_of(call, await self._ask(call))]

    async def model(self) -> ModelResponse:
        """What is in service.

        Raises:
            ClientError: when the key or the address is wrong.
            UnavailableError: when the server does not say.
        """
        return _model_of(await self._ask(_MODEL))

    async def _ask(self, call: Call) -> Reply:
        plan: Plan = self._patience.plan(self._timeout_s)
        step = next(plan)
        while True:
            try:
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                    step = plan.send(None)
                else:
                    step = plan.send(await self._send(call, step))
            except StopIteration as end:
                last: Reply = end.value
                return last

    async def _send(self, call: Call, step: Send) -> Reply:
        import httpx

        body = bytearray()
        try:
            async with (
                asyncio.timeout(step.timeout_s),
                self._http.stream(**_request_options(call, step.timeout_s)) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        return Reply(response.status_code)
                return _reply(response, bytes(body))
        except TimeoutError:
            return Reply(None, trouble="it answered too slowly")
        except httpx.RequestError as error:
            return Reply(None, trouble=type(error).__name__)
