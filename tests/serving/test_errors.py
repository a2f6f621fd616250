"""Every error code of the design's section 5, provoked, on every route it can come from."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient
from starlette.types import Message

from models.bundle import BundleError
from models.classifier import Encoded, Logits
from models.predictor import Predictor
from serving.app import create_app
from serving.errors import API_ERRORS
from serving.settings import Settings
from serving.wire import ErrorResponse
from tests.serving.clients import WAIT_S, MakePredictor, Serve, service_of
from tests.serving.gates import FAULT_WORD, GATE_WORD, FaultyClassifier, GatedClassifier

PREDICT = "/v1/predict"
BATCH = "/v1/predict/batch"
SECRET = "xylophone"


def check_error(response: Response, status: int, code: str) -> dict[str, Any]:
    """The error of a response that has the one shape, and the fallback that no failure may lack."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    ErrorResponse.model_validate(body, extra="forbid", strict=False)
    assert body["fallback"] == {"action": "agent"}
    assert body["error"]["code"] == code
    assert "Traceback" not in response.text
    assert SECRET not in response.text
    return dict(body["error"])


def routes_of(client: TestClient) -> list[tuple[str, str]]:
    """Method and path of every route of the interface; the workbench's are pages, with pages for errors."""
    app = client.app
    assert isinstance(app, FastAPI)
    routes = [route for route in app.routes if not route.path.startswith("/qa")]  # type: ignore[attr-defined] # likewise
    return [(method, route.path) for route in routes for method in sorted(route.methods)]  # type: ignore[attr-defined] # only plain routes are there


def body_for(path: str, text: str) -> dict[str, Any]:
    post = {"text": text}
    return {"posts": [post]} if path == BATCH else post


# Every route


@pytest.fixture(scope="module")
def own(serve: Serve) -> Iterator[TestClient]:
    """A client of a server that speaks no dialect; those have their errors in test_dialects.py."""
    with serve(dialects="") as client:
        yield client


def test_all_routes_are_those_of_the_design_and_the_files_of_the_reading_page(own: TestClient) -> None:
    assert sorted(routes_of(own)) == [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/docs/swagger-ui-bundle.js"),
        ("GET", "/docs/swagger-ui.css"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/readyz"),
        ("GET", "/v1/admin/lineup"),
        ("GET", "/v1/model"),
        ("POST", "/v1/admin/promote"),
        ("POST", "/v1/admin/reload"),
        ("POST", "/v1/admin/retire"),
        ("POST", "/v1/admin/rollback"),
        ("POST", "/v1/feedback"),
        ("POST", "/v1/predict"),
        ("POST", "/v1/predict/batch"),
    ]


def test_every_route_refuses_another_method_in_the_one_shape(own: TestClient) -> None:
    for method, path in routes_of(own):
        for other in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {method}:
            response = own.request(other, path)
            error = check_error(response, 405, "method_not_allowed")
            assert response.headers["allow"] == method
            assert other in error["message"]


def test_every_route_that_fails_unexpectedly_says_so_in_the_one_shape(
    own: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last net is the same for all routes: what breaks below it is broken here once, for each of them."""
    app = own.app
    assert isinstance(app, FastAPI)

    async def broken(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(app.router, "middleware_stack", broken)
    for method, path in routes_of(own):
        error = check_error(own.request(method, path), 500, "internal_error")
        assert error["details"] == []


@pytest.mark.parametrize("path", ["/nothing", "/v1/predict/", "/v3/predict", "/v1/%0a", "/docs/redoc.js"])
def test_a_path_that_is_not_there_is_answered_in_the_one_shape(client: TestClient, path: str) -> None:
    for method in ("GET", "POST"):
        check_error(client.request(method, path), 404, "not_found")


# 400, 413, 415, 422: the body


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"text": "a"} x', b'{"text": "\\ud800"}', b"[" * 5_000, b"9" * 5_000]
)
def test_a_body_that_is_not_json_is_refused(client: TestClient, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    error = check_error(response, 400, "bad_json")
    assert "Wanted: one JSON object in UTF-8." in error["message"]


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "x" * 300])
def test_a_body_that_is_not_declared_as_json_is_refused(
    client: TestClient, path: str, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = client.post(path, content=json.dumps(body_for(path, SECRET)), headers=headers)
    check_error(response, 415, "not_json_content")


def test_json_under_its_other_names_is_read(client: TestClient) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.crm+json"):
        response = client.post(PREDICT, content=b'{"text": "thanks"}', headers={"content-type": content_type})
        assert response.status_code == 200


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_body_that_says_it_is_too_large_is_refused_unread(serve: Serve, path: str) -> None:
    with serve(max_body_bytes=1_024) as client:
        error = check_error(client.post(path, json=body_for(path, SECRET * 200)), 413, "body_too_large")
        assert "Allowed: 1024 bytes." in error["message"]


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_body_that_comes_in_pieces_is_refused_at_the_limit_without_reading_on(serve: Serve, path: str) -> None:
    """No `Content-Length`: only counting helps. The body here never ends, so that reading on would never end either."""
    with serve(max_body_bytes=1_024) as client:
        pieces = iter(range(1_000))

        def receive() -> Message:
            next(pieces)
            return {"type": "http.request", "body": b" " * 100, "more_body": True}

        response = call(client, path, receive)
        assert response.status_code == 413
        check_error(response, 413, "body_too_large")
        assert next(pieces) == 11  # ten pieces are allowed, the eleventh goes over


def call(client: TestClient, path: str, receive: Callable[[], Message | Awaitable[Any]]) -> Response:
    """The answer of the application itself to a request whose body comes from `receive`."""
    sent: list[Message] = []

    async def receiving() -> Message:
        message = receive()
        return message if isinstance(message, dict) else await message  # type: ignore[misc] # a dict is not awaited

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    assert client.portal is not None
    client.portal.call(client.app, scope, receiving, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Response(sent[0]["status"], headers=sent[0]["headers"], content=content)


@pytest.mark.parametrize(
    ("post", "field", "code"),
    [
        ({}, "text", "missing"),
        ({"text": ""}, "text", "string_too_short"),
        ({"text": 7}, "text", "string_type"),
        ({"text": "a" * 10_001}, "text", "string_too_long"),
        ({"text": "a", "platform": SECRET}, "platform", "literal_error"),
        ({"text": "a", "lang": SECRET}, "lang", "string_pattern_mismatch"),
        ({"text": "a", "author": {"followers": -1}}, "author.followers", "greater_than_equal"),
        ({"text": "a", "author": {"followers": SECRET}}, "author.followers", "int_parsing"),
        ({"text": "a", "author": [SECRET]}, "author", "model_type"),
        ({"text": "a", "reach": {"likes": 10**11}}, "reach.likes", "less_than_equal"),
        ({"text": "a", "posted_at": "2026-11-22T09:00:00"}, "posted_at", "timezone_aware"),
        ({"text": "a", "posted_at": "9999-12-31T23:59:59Z"}, "posted_at", "datetime_too_late"),
        ({"text": "a", "in_reply_to": "b" * 10_001}, "in_reply_to", "string_too_long"),
        ({"text": "a", "txet": SECRET}, "txet", "unknown_field"),
        ({"text": "a", "author": {"age": 3}}, "author.age", "unknown_field"),
    ],
)
def test_a_field_that_is_not_allowed_is_named_and_its_content_is_not(
    client: TestClient, post: dict[str, Any], field: str, code: str
) -> None:
    error = check_error(client.post(PREDICT, json=post), 422, "invalid_post")
    assert [(each["field"], each["code"]) for each in error["details"]] == [(field, code)]
    assert field in error["message"]
    in_batch = check_error(client.post(BATCH, json={"posts": [{"text": "a"}, post]}), 422, "invalid_post")
    assert [(each["field"], each["code"]) for each in in_batch["details"]] == [(f"posts.1.{field}", code)]


def test_the_message_of_a_refused_post_has_the_four_facts(client: TestClient) -> None:
    error = check_error(client.post(PREDICT, json={"text": "a", "platform": "twitter"}), 422, "invalid_post")
    assert error["message"] == (
        "The request is not valid at platform: got a string of 7 characters; wanted: Input should be 'x', "
        "'facebook', 'instagram', 'linkedin', 'reddit', 'tiktok', 'youtube', 'trustpilot' or 'other'. Correct the "
        "fields named in details and send it again; docs/api.md lists all fields."
    )


def test_an_unknown_field_is_answered_with_the_one_that_was_meant(client: TestClient) -> None:
    error = check_error(client.post(PREDICT, json={"text": "a", "author": {"folowers": 3}}), 422, "invalid_post")
    assert error["details"] == [
        {
            "field": "author.folowers",
            "code": "unknown_field",
            "got": "a field",
            "wanted": "one of handle, followers, verified, bio; did you mean followers?",
        }
    ]


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "null"),
        (True, "a boolean"),
        (3.5, "a number"),
        ([SECRET], "an array of 1"),
        ({SECRET: 1}, "an object of 1 fields"),
    ],
)
def test_of_a_refused_value_the_kind_and_size_are_said(client: TestClient, value: object, got: str) -> None:
    error = check_error(client.post(PREDICT, json={"text": value}), 422, "invalid_post")
    assert error["details"][0]["got"] == got


@pytest.mark.parametrize("body", [3, "text", [], True, {"posts": []}, {"posts": 3}, {"posts": [3]}, {}])
def test_json_of_another_shape_is_not_a_batch(client: TestClient, body: object) -> None:
    check_error(client.post(BATCH, json=body), 422, "invalid_post")


def test_a_batch_that_is_wrong_everywhere_is_told_the_first_twenty_places(client: TestClient) -> None:
    error = check_error(client.post(BATCH, json={"posts": [{}] * 256}), 422, "invalid_post")
    assert len(error["details"]) == 20
    assert "(and 255 more)" in error["message"]


def test_a_batch_over_256_posts_is_refused(client: TestClient) -> None:
    error = check_error(client.post(BATCH, json={"posts": [{"text": "a"}] * 257}), 422, "invalid_post")
    assert error["details"][0]["field"] == "posts"


def test_the_limits_of_the_settings_hold_where_they_are_stricter(serve: Serve) -> None:
    with serve(max_text_characters=10, max_batch_posts=2) as client:
        too_long = check_error(client.post(PREDICT, json={"text": SECRET * 2}), 422, "invalid_post")
        assert too_long["details"][0]["wanted"] == "String should have at most 10 characters"
        too_many = check_error(client.post(BATCH, json={"posts": [{"text": "a"}] * 3}), 422, "invalid_post")
        assert too_many["details"][0]["wanted"] == "Array should have at most 2 posts"
        assert client.post(BATCH, json={"posts": [{"text": "a" * 10}] * 2}).status_code == 200


@pytest.mark.parametrize("path", [PREDICT, BATCH])
@pytest.mark.parametrize("said", ["0", "-1", "600001", "1e3", "5.0", "soon", "", " 5x", "\u0665", "9" * 400])
def test_a_time_limit_that_is_no_number_of_milliseconds_is_refused_by_name(
    client: TestClient, path: str, said: str
) -> None:
    headers = [(b"X-Request-Timeout-Ms", said.encode())]
    error = check_error(client.post(path, json=body_for(path, "parcel"), headers=headers), 422, "invalid_post")
    assert error["details"][0]["field"] == "X-Request-Timeout-Ms"
    assert error["details"][0]["wanted"] == "one whole number of milliseconds, 1 to 600000"
    assert said not in error["details"][0]["got"] or len(said) < 5


def test_two_time_limits_are_refused(client: TestClient) -> None:
    headers = [("X-Request-Timeout-Ms", "50"), ("X-Request-Timeout-Ms", "60")]
    error = check_error(client.post(PREDICT, json={"text": "parcel"}, headers=headers), 422, "invalid_post")
    assert error["details"][0]["got"] == "2 values"


def test_a_time_limit_of_the_client_lowers_the_servers_and_never_raises_it(serve: Serve) -> None:
    classifier = GatedClassifier()
    with serve(classifier, workers=1) as client:
        headers = {"X-Request-Timeout-Ms": "100"}
        check_error(client.post(PREDICT, json={"text": GATE_WORD}, headers=headers), 504, "deadline_missed")
        classifier.gate.set()
        headers = {"X-Request-Timeout-Ms": "600000"}
        assert client.post(PREDICT, json={"text": "parcel"}, headers=headers).status_code == 200
    classifier = GatedClassifier()
    with serve(classifier, workers=1, request_timeout_ms=100) as client:
        check_error(client.post(PREDICT, json={"text": GATE_WORD}, headers=headers), 504, "deadline_missed")
        classifier.gate.set()


# 429, 500, 503, 504: the server


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_what_does_not_fit_the_queue_is_refused_with_the_time_to_come_again(serve: Serve, path: str) -> None:
    classifier = GatedClassifier()
    with serve(classifier, workers=1, queue_posts=2, max_batch_posts=2) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.post, BATCH, json={"posts": [{"text": GATE_WORD}, {"text": "thanks"}]})
        assert classifier.entered.wait(WAIT_S)
        refused = client.post(path, json=body_for(path, SECRET))
        classifier.gate.set()
        assert running.result(WAIT_S).status_code == 200
        error = check_error(refused, 429, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert "2 posts are in work. Allowed: 2 at a time." in error["message"]
        assert client.post(path, json=body_for(path, "thanks")).status_code == 200


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_under_overload_a_request_is_turned_away_before_its_body(serve: Serve, path: str) -> None:
    def never() -> Message:
        raise AssertionError("the body was asked for")

    classifier = GatedClassifier()
    with serve(classifier, workers=1, queue_posts=1, max_batch_posts=1) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.post, PREDICT, json={"text": GATE_WORD})
        assert classifier.entered.wait(WAIT_S)
        check_error(call(client, path, never), 429, "overloaded")
        check_error(client.get(path), 405, "method_not_allowed")
        headers = {"X-Request-Timeout-Ms": "soon"}
        check_error(client.post(path, json=body_for(path, SECRET), headers=headers), 422, "invalid_post")
        assert f'signalbox_requests_total{{route="{path}",status="429"}} 1.0' in client.get("/metrics").text
        classifier.gate.set()
        assert running.result(WAIT_S).status_code == 200


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_an_exception_that_nobody_expected_is_answered_without_its_text(serve: Serve, path: str) -> None:
    with serve(FaultyClassifier()) as client:
        check_error(client.post(path, json=body_for(path, f"{FAULT_WORD} {SECRET}")), 500, "internal_error")
        assert client.post(path, json=body_for(path, "thanks")).status_code == 200


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_request_that_is_not_done_in_time_is_given_up(serve: Serve, path: str) -> None:
    classifier = GatedClassifier()
    with serve(classifier, request_timeout_ms=20) as client:
        check_error(client.post(path, json=body_for(path, f"{GATE_WORD} {SECRET}")), 504, "deadline_missed")
        classifier.gate.set()


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_body_that_does_not_arrive_in_time_is_given_up(serve: Serve, path: str) -> None:
    with serve(request_timeout_ms=20) as client:
        response = call(client, path, lambda: asyncio.Event().wait())
        error = check_error(response, 504, "deadline_missed")
        assert "its body did not arrive" in error["message"]


def test_a_client_that_goes_away_while_sending_leaves_no_trace_of_a_fault(serve: Serve) -> None:
    with serve() as client:
        response = call(client, PREDICT, lambda: {"type": "http.disconnect"})
        check_error(response, 499, "client_gone")


@pytest.fixture
def not_ready(make_predictor: MakePredictor) -> Iterator[TestClient]:
    """A server whose model is still loading."""
    loading = Event()

    def load() -> Predictor:
        if not loading.wait(WAIT_S):
            raise RuntimeError("The test never let the model load.")
        return make_predictor()

    with TestClient(create_app(Settings(), load)) as client:
        yield client
        loading.set()


NEED_A_MODEL = [("POST", PREDICT), ("POST", BATCH), ("GET", "/v1/model"), ("GET", "/readyz")]


@pytest.mark.parametrize(("method", "path"), NEED_A_MODEL)
def test_until_a_model_answers_the_server_says_so(not_ready: TestClient, method: str, path: str) -> None:
    response = not_ready.request(method, path)
    error = check_error(response, 503, "not_ready")
    assert "this server is starting" in error["message"]
    assert response.headers["retry-after"] == "1"
    assert not_ready.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(("method", "path"), NEED_A_MODEL)
def test_a_draining_server_takes_nothing_new_and_closes_the_connection(serve: Serve, method: str, path: str) -> None:
    with serve() as client:
        assert client.get("/readyz").json()["status"] == "ready"
        service_of(client).drain()
        response = client.request(method, path)
        assert "this server is draining" in check_error(response, 503, "not_ready")["message"]
        assert response.headers["connection"] == "close"
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(("method", "path"), NEED_A_MODEL)
@pytest.mark.parametrize("fault", [BundleError("no such bundle"), ValueError(SECRET)])
def test_a_server_whose_model_did_not_start_says_that_it_failed(fault: Exception, method: str, path: str) -> None:
    def load() -> Predictor:
        raise fault

    with TestClient(create_app(Settings(), load)) as client:
        assert service_of(client).settled.wait(WAIT_S)
        error = check_error(client.request(method, path), 503, "not_ready")
        assert "this server is failed" in error["message"]


def test_a_predictor_that_cannot_answer_the_warm_up_is_never_ready(make_predictor: MakePredictor) -> None:
    class Mute(FaultyClassifier):
        def encode(self, rendered: object) -> Any:
            raise OSError(SECRET)

    with TestClient(create_app(Settings(), lambda: make_predictor(Mute()))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        check_error(client.get("/readyz"), 503, "not_ready")
        assert service_of(client).failure == "The model did not start: OSError."


def test_a_model_whose_scores_are_no_numbers_is_never_ready(make_predictor: MakePredictor) -> None:
    class Lost(FaultyClassifier):
        def logits(self, posts: Sequence[Encoded]) -> Logits:
            found = super().logits(posts)
            return Logits(route=found.route * np.nan, intent=found.intent)

    with TestClient(create_app(Settings(), lambda: make_predictor(Lost()))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        check_error(client.get("/readyz"), 503, "not_ready")


def test_every_error_has_a_status_and_code_of_its_own() -> None:
    assert [error.status for error in API_ERRORS] == [
        400,
        401,
        403,
        403,
        404,
        404,
        405,
        409,
        409,
        413,
        415,
        422,
        422,
        429,
        429,
        499,
        500,
        503,
        503,
        504,
    ]
    assert len({error.code for error in API_ERRORS}) == len(API_ERRORS)
