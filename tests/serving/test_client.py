"""The Python client: whatever the server does, a post ends with the server's valid answer or with an agent."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from threading import Thread
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from starlette.datastructures import Headers

from data.dependencies import MissingGroupError
from data.post import Author, LabelledPost, Post
from serving.auth import hash_key
from serving.client import (
    AddressError,
    AsyncSignalbox,
    ClientError,
    KeyRefusedError,
    PostRefusedError,
    Result,
    Signalbox,
    UnavailableError,
)
from serving.errors import (
    BadJsonError,
    BodyTooLargeError,
    DeadlineError,
    InternalError,
    InvalidPostError,
    KeyMissingError,
    MethodNotAllowedError,
    NotFoundError,
    NotJsonContentError,
    NotReadyError,
    OverloadedError,
)
from serving.errors import KeyRefusedError as KeyRefusedByServer
from serving.requests import read_timeout_ms
from serving.settings import Settings
from tests.packaging.pins import installed_for, requirements_of
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, running_server
from tests.serving.servers import (
    ANSWER,
    FakeClock,
    ScriptedServer,
    Step,
    answer_body,
    answers,
    breaks,
    hangs_up_after,
    posts_of,
    refuses,
    says,
)

ADDRESS = "http://signalbox.test"
POST = {"id": "1059", "text": "where do I track my parcel?"}
OVERLOADED = refuses(OverloadedError("full", retry_after_s=2))
NOT_READY = refuses(NotReadyError("starting", headers={"Retry-After": "1"}))
PASSING: list[Step] = [
    OVERLOADED,
    NOT_READY,
    says(502, b"<html>bad gateway</html>"),
    says(503),
    breaks(httpx.ConnectError("refused")),
    breaks(httpx.ConnectTimeout("late")),
    breaks(httpx.ReadError("reset")),
    hangs_up_after(0.5),
]
"""Trouble that may be over at the next try."""
LASTING: list[Step] = [
    refuses(InternalError()),
    refuses(DeadlineError("late")),
    says(200, b"<html>ok</html>"),
    says(200, b"null"),
    says(200, b"{}"),
    says(200),
    says(204),
    says(301, location="http://elsewhere.test"),
    says(403, b"<html>a proxy says no</html>"),
    says(404, b'{"detail": "Not Found"}'),
    says(422, b'{"error": "of another server"}'),
    says(504, b"gateway timeout"),
    says(599),
]
"""Trouble that the next try would meet again."""


def ask(steps: Sequence[Step], post: Any = POST, **options: Any) -> tuple[Result, ScriptedServer, FakeClock]:
    """What a client says of a post to a server that does these steps; waits on a clock of its own."""
    server, clock = ScriptedServer(steps), FakeClock()
    options = {"jitter": lambda: 0.0, **options}
    with Signalbox(ADDRESS, transport=server, clock=clock, sleep=clock.sleep, **options) as signalbox:
        return signalbox.predict(post), server, clock


def ask_async(steps: Sequence[Step], post: Any = POST) -> tuple[Result, ScriptedServer, FakeClock]:
    """The same by the asynchronous client."""
    server, clock = ScriptedServer(steps), FakeClock()

    async def run() -> Result:
        async with AsyncSignalbox(
            ADDRESS, transport=server, clock=clock, sleep=clock.sleep_async, jitter=lambda: 0.0
        ) as signalbox:
            return await signalbox.predict(post)

    return asyncio.run(run()), server, clock


def check_fallback(result: Result, code: str | None = None) -> None:
    assert result.answer is None
    assert (result.decision.action, result.decision.queue) == ("agent", "agents")
    (reason,) = result.decision.reasons
    assert reason.code == "fallback"
    assert result.cause is not None
    assert reason.detail.startswith(result.cause.code)
    assert code in (None, result.cause.code)
    assert result.post_id == POST["id"]


# What is right


def test_a_valid_answer_is_given_back_with_its_decision() -> None:
    for asked in (ask, ask_async):
        result, server, _ = asked([answers])
        assert result.post_id == "1059"
        assert result.cause is None
        assert result.answer is not None
        assert result.answer.model_dump(mode="json") == {**ANSWER, "id": "1059"}
        assert result.decision == result.answer.decision
        assert len(server.requests) == 1


def test_a_request_says_key_kind_and_the_time_that_is_left() -> None:
    _, server, _ = ask([OVERLOADED, answers], api_key="sbx_1", timeout_s=5.0)
    for request, timeout_ms in zip(server.requests, ("5000", "3000"), strict=True):
        assert request.url == f"{ADDRESS}/v1/predict"
        assert request.headers["authorization"] == "Bearer sbx_1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-request-timeout-ms"] == timeout_ms
        assert json.loads(request.content) == {**POST, "platform": "other"}


def test_a_post_may_be_a_mapping_a_post_or_a_labelled_one_without_its_labels() -> None:
    author = Author(followers=3)
    labelled = LabelledPost(id="1059", text="lol", lang="en", route="simple", intent="not_service", author=author)
    for post in (labelled, Post(id="1059", text="lol", lang="en", author=author)):
        _, server, _ = ask([answers], post)
        sent = {"id": "1059", "text": "lol", "platform": "other", "lang": "en", "author": {"followers": 3}}
        assert json.loads(server.requests[0].content) == sent


def test_an_answer_with_fields_that_came_later_is_read() -> None:
    body = json.dumps({**ANSWER, "id": "1059", "mood": "calm"}).encode()
    assert ask([says(200, body)])[0].decision.action == "auto_answer"


# What goes wrong


@pytest.mark.parametrize("trouble", PASSING)
def test_trouble_that_passes_is_tried_again(trouble: Step) -> None:
    for asked in (ask, ask_async):
        result, server, clock = asked([trouble, trouble, answers])
        assert result.decision.action == "auto_answer"
        assert len(server.requests) == 3
        assert len(clock.slept) == 2


@pytest.mark.parametrize("trouble", PASSING)
def test_trouble_that_does_not_pass_ends_with_an_agent_after_the_last_try(trouble: Step) -> None:
    for asked in (ask, ask_async):
        result, server, clock = asked([trouble])
        check_fallback(result)
        assert len(server.requests) == 3
        assert len(clock.slept) == 2  # nobody waits after the last


@pytest.mark.parametrize("trouble", LASTING)
def test_trouble_that_lasts_ends_with_an_agent_at_once(trouble: Step) -> None:
    for asked in (ask, ask_async):
        result, server, clock = asked([trouble, answers])
        check_fallback(result)
        assert (len(server.requests), clock.slept) == (1, [])


def test_the_cause_is_said_in_the_server_s_own_words_or_in_ours() -> None:
    for step, code, status in (
        (OVERLOADED, "overloaded", 429),
        (refuses(DeadlineError("late")), "deadline_missed", 504),
        (breaks(httpx.ConnectError("refused")), "no_answer", None),
        (says(200, b"{}"), "answer_not_understood", 200),
        (says(404, b"<html>"), "answer_not_understood", 404),
    ):
        result, _, _ = ask([step])
        check_fallback(result, code)
        assert result.cause is not None
        assert result.cause.status == status


def test_the_server_is_given_the_time_that_it_asks_for() -> None:
    _, _, clock = ask([OVERLOADED, NOT_READY, answers])
    assert clock.slept == [2.0, 1.0]


def test_pauses_grow_and_are_spread() -> None:
    _, _, clock = ask([says(503)], retries=8, jitter=lambda: 1.0, timeout_s=60.0)
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    _, _, spread = ask([says(503)], retries=1, jitter=lambda: 0.5)
    assert spread.slept == [0.025]


def test_nobody_waits_for_a_try_that_would_come_too_late() -> None:
    for retry_after in ("5", "9" * 400):
        result, server, clock = ask([says(503, retry_after=retry_after), answers], timeout_s=5.0)
        check_fallback(result)
        assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize("retry_after", ["", "-1", "soon", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_time_to_come_again_that_is_no_number_of_seconds_is_passed_over(retry_after: str) -> None:
    result, _, clock = ask([says(503, retry_after=retry_after), answers])
    assert result.decision.action == "auto_answer"
    assert clock.slept == [0.0]


def test_an_answer_that_drips_past_the_deadline_is_none() -> None:
    clock = FakeClock()

    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            for byte in answer_body(httpx.Request("POST", f"{ADDRESS}/v1/predict", json=POST)):
                clock.now_s += 0.1
                yield bytes([byte])

    server = ScriptedServer([lambda _: httpx.Response(200, stream=Drip())])
    with Signalbox(ADDRESS, transport=server, clock=clock, sleep=clock.sleep, timeout_s=5.0) as signalbox:
        check_fallback(signalbox.predict(POST), "no_answer")
    assert len(server.requests) == 1
    assert clock.now_s == pytest.approx(1_005, abs=0.2)


def test_an_asynchronous_answer_that_never_ends_is_given_up() -> None:
    class Silence(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b"{"
            await asyncio.Event().wait()

    async def run() -> Result:
        server = ScriptedServer([lambda _: httpx.Response(200, stream=Silence())])
        async with AsyncSignalbox(ADDRESS, transport=server, timeout_s=0.05, retries=0) as signalbox:
            return await signalbox.predict(POST)

    check_fallback(asyncio.run(run()), "no_answer")


@pytest.mark.parametrize("timeout_s", [600.0, 601.0, 86_400.0])
def test_of_a_patience_beyond_what_the_server_grants_it_is_told_its_most(timeout_s: float) -> None:
    result, server, _ = ask([answers], timeout_s=timeout_s)
    assert result.decision.action == "auto_answer"
    headers = server.requests[0].headers
    assert headers["x-request-timeout-ms"] == "600000"
    assert read_timeout_ms(Headers(dict(headers))) == 600_000


def test_an_answer_without_end_is_not_kept() -> None:
    class Flood(httpx.SyncByteStream):
        sent = 0

        def __iter__(self) -> Any:
            while True:
                Flood.sent += 1
                yield b" " * 1_048_576

    check_fallback(ask([lambda _: httpx.Response(200, stream=Flood())])[0], "answer_not_understood")
    assert Flood.sent == 17


# The property


def scripted(steps: list[Step]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.sampled_from(steps), min_size=1, max_size=5)


@settings(max_examples=60)
@given(steps=scripted([*PASSING, *LASTING, answers]), retries=st.integers(0, 4), jitter=st.floats(0, 1))
def test_whatever_the_server_does_the_end_is_its_valid_answer_or_an_agent(
    steps: list[Step], retries: int, jitter: float
) -> None:
    result, server, clock = ask(steps, retries=retries, jitter=lambda: jitter, timeout_s=5.0)
    if result.answer is None:
        check_fallback(result)
    else:
        assert steps[len(server.requests) - 1] is answers or steps[-1] is answers
        assert result.answer.model_dump(mode="json") == {**ANSWER, "id": "1059"}
    assert len(server.requests) <= retries + 1
    assert clock.now_s < 1_005


@given(share=st.floats(0, 0.999))
def test_no_part_of_an_answer_is_an_answer(share: float) -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        content = answer_body(request)
        return httpx.Response(200, content=content[: int(len(content) * share)])

    check_fallback(ask([cut])[0], "answer_not_understood")


@given(
    path=st.sampled_from(["id", "prediction_id", "route", "intent", "decision", "due", "truncated", "versions"]),
    junk=st.sampled_from([3.5, "auto_answer", [], {}, "missing"]),
)
@example(path="id", junk="1060")
@example(path="decision", junk={**ANSWER["decision"], "action": "answer_twice"})
@example(path="decision", junk={**ANSWER["decision"], "abstained": "no"})
@example(path="decision", junk={"action": "auto_answer"})
@example(path="route", junk={**ANSWER["route"], "confidence": 1.5})
def test_an_answer_of_another_shape_is_no_answer(path: str, junk: object) -> None:
    body = {**ANSWER, "id": "1059", path: junk}
    if junk == "missing":
        del body[path]
    if path == "prediction_id" and isinstance(junk, str) and junk != "missing":
        return  # any text is an id
    check_fallback(ask([says(200, json.dumps(body).encode())])[0], "answer_not_understood")


# Mistakes of the caller


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadJsonError("no"), PostRefusedError),
        (KeyMissingError("no"), KeyRefusedError),
        (KeyRefusedByServer("no"), KeyRefusedError),
        (NotFoundError("no"), AddressError),
        (MethodNotAllowedError("no"), AddressError),
        (BodyTooLargeError("no"), PostRefusedError),
        (NotJsonContentError("no"), PostRefusedError),
        (InvalidPostError("no"), PostRefusedError),
    ],
)
def test_a_mistake_that_the_server_names_is_raised_and_carries_the_fallback(
    error: Any, kind: type[ClientError]
) -> None:
    for asked in (ask, ask_async):
        with pytest.raises(kind) as raised:
            asked([refuses(error), answers])
        assert raised.value.cause.code == error.code
        assert raised.value.fallback.action == "agent"
        assert raised.value.fallback.reasons[0].code == "fallback"


@pytest.mark.parametrize(
    ("post", "field"),
    [({}, "text"), ({"text": ""}, "text"), ({"text": "a", "txet": "b"}, "txet"), ({"text": "\ud800"}, "text")],
)
def test_a_post_that_is_not_valid_is_refused_before_anything_is_sent(post: dict[str, str], field: str) -> None:
    server = ScriptedServer([answers])
    with Signalbox(ADDRESS, transport=server) as signalbox:
        with pytest.raises(PostRefusedError, match=f"The post was not sent: {field} is not valid") as refused:
            signalbox.predict(post)
        with pytest.raises(PostRefusedError):
            signalbox.predict_batch([POST, post])
    assert refused.value.fallback.action == "agent"
    assert server.requests == []


def test_an_address_or_a_key_that_can_be_none_is_refused_at_once() -> None:
    for kind in (Signalbox, AsyncSignalbox):
        with pytest.raises(AddressError, match="There is no server at 'signalbox:8000'"):
            kind("signalbox:8000")
        for key in ("clé", "a\nb"):
            with pytest.raises(KeyRefusedError):
                kind(ADDRESS, key)


def test_where_httpx_is_missing_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for kind in (Signalbox, AsyncSignalbox):
        with pytest.raises(MissingGroupError, match=r"pip install --group client -c constraints\.txt"):
            kind(ADDRESS)


# Batches


def batch(steps: Sequence[Step], posts: list[dict[str, str]], **options: Any) -> tuple[list[Result], ScriptedServer]:
    server, clock = ScriptedServer(steps), FakeClock()
    with Signalbox(ADDRESS, transport=server, clock=clock, sleep=clock.sleep, retries=0, **options) as signalbox:
        return signalbox.predict_batch(posts), server


def numbered(count: int, text: str = "lol") -> list[dict[str, str]]:
    return [{"id": str(number), "text": text} for number in range(count)]


@given(count=st.integers(0, 40), batch_posts=st.integers(1, 15))
def test_a_batch_is_cut_to_what_a_server_takes_and_keeps_its_order(count: int, batch_posts: int) -> None:
    results, server = batch([answers], numbered(count), batch_posts=batch_posts)
    assert [result.post_id for result in results] == [str(number) for number in range(count)]
    assert all(result.answer is not None and result.answer.id == result.post_id for result in results)
    sizes = [len(posts_of(request)) for request in server.requests]
    assert sizes == [min(batch_posts, count - start) for start in range(0, count, batch_posts)]


def test_a_batch_of_long_posts_stays_under_what_a_server_reads() -> None:
    results, server = batch([answers], numbered(300, "ü" * 10_000))
    assert len(results) == 300
    assert max(len(request.content) for request in server.requests) <= 1_900_000
    assert sum(len(posts_of(request)) for request in server.requests) == 300


def test_a_request_of_a_batch_that_fails_falls_back_for_its_own_posts_alone() -> None:
    results, _ = batch([answers, says(500), answers], numbered(5), batch_posts=2)
    assert [result.decision.action for result in results] == ["auto_answer"] * 2 + ["agent"] * 2 + ["auto_answer"]


@pytest.mark.parametrize("order", [[1, 0], [0], [0, 0], [0, 1, 1], []])
def test_answers_that_are_not_one_for_each_post_in_order_are_none(order: list[int]) -> None:
    mixed = [{**ANSWER, "id": str(number)} for number in order]
    results, _ = batch([says(200, json.dumps({"results": mixed}).encode())], numbered(2))
    assert [result.decision.action for result in results] == ["agent", "agent"]


# Against a real server


def test_a_real_server_is_understood(serving_address: str) -> None:
    with Signalbox(serving_address, timeout_s=WAIT_S) as signalbox:
        result = signalbox.predict({**POST, "posted_at": "2026-11-22T09:00:00Z"})
        assert (result.post_id, result.decision.action) == ("1059", "auto_answer")
        assert result.answer is not None
        assert result.answer.due is not None
        posts = [{"id": str(number), "text": text} for number, text in enumerate(["lol", "a scam", "thanks"] * 100)]
        results = signalbox.predict_batch(posts)
        assert [each.post_id for each in results] == [post["id"] for post in posts]
        assert [each.decision.action for each in results] == ["no_reply", "specialist", "auto_answer"] * 100
        assert signalbox.model().versions == result.answer.versions


def test_a_real_server_is_understood_by_the_asynchronous_client(serving_address: str) -> None:
    async def run() -> None:
        async with AsyncSignalbox(serving_address, timeout_s=WAIT_S) as signalbox:
            alone = await asyncio.gather(*(signalbox.predict(POST) for _ in range(20)))
            assert {result.decision.action for result in alone} == {"auto_answer"}
            results = await signalbox.predict_batch([{"text": "lol"}] * 300)
            assert [result.decision.action for result in results] == ["no_reply"] * 300
            assert (await signalbox.model()).labels.route[0] == "simple"

    asyncio.run(run())


def test_a_real_server_tells_a_wrong_key_and_a_wrong_address(make_predictor: MakePredictor, tmp_path: Any) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "crm", "sha256": hash_key("k"), "scopes": ["predict"]}]}))
    settings = Settings(port=0, request_timeout_ms=PATIENT_MS, api_keys_file=keys)
    with running_server(settings, make_predictor) as address:
        with Signalbox(address, "k", timeout_s=WAIT_S) as known:
            assert known.predict(POST).decision.action == "auto_answer"
            with pytest.raises(KeyRefusedError, match="Wanted: model"):
                known.model()
        for key in (None, "other"):
            with Signalbox(address, key, timeout_s=WAIT_S) as unknown, pytest.raises(KeyRefusedError):
                unknown.predict(POST)
        with Signalbox(f"{address}/v7", "k", timeout_s=WAIT_S) as lost, pytest.raises(AddressError):
            lost.predict(POST)


def test_where_nobody_listens_the_end_is_an_agent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Signalbox(f"http://127.0.0.1:{port}", retries=0) as signalbox:
        check_fallback(signalbox.predict(POST), "no_answer")
        with pytest.raises(UnavailableError) as unavailable:
            signalbox.model()
    assert unavailable.value.fallback.action == "agent"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + json.dumps(ANSWER).encode()[:200],
        b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(ANSWER).encode()[:200],
        b"SSH-2.0-nobody\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
    ],
)
def test_a_server_that_hangs_up_on_a_real_connection_ends_with_an_agent(sent: bytes) -> None:
    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(sent)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=hang_up, args=[listener])
        thread.start()
        with Signalbox(f"http://127.0.0.1:{listener.getsockname()[1]}", retries=0, timeout_s=WAIT_S) as signalbox:
            check_fallback(signalbox.predict(POST))
        thread.join(WAIT_S)


def test_what_is_in_service_is_asked_like_anything_else() -> None:
    server = ScriptedServer([says(200, b"{}")])
    with Signalbox(ADDRESS, transport=server) as signalbox, pytest.raises(UnavailableError):
        signalbox.model()
    assert (server.requests[0].method, server.requests[0].url.path) == ("GET", "/v1/model")


# What it needs


def test_the_client_needs_nothing_but_its_own_group() -> None:
    show = (
        "import sys, json; from serving.client import Signalbox; Signalbox('http://127.0.0.1:1').close();"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "httpx" in loaded
    assert not loaded & {"onnxruntime", "numpy", "tokenizers", "fastapi", "starlette", "uvicorn", "prometheus_client"}
    allowed = set(installed_for(requirements_of("client"))) | {"brotli", "click", "rich", "pygments"}
    # httpx takes the last four along where they happen to be installed, for its own command and for compression
    known = packages_distributions()
    found = {canonicalize_name(name) for module in loaded for name in known.get(module, [])}
    assert found - {"setuptools"} <= allowed
