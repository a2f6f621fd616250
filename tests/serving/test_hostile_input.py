"""Bodies made to break a server, at our own routes and one of each dialect: refused or answered, and never closed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from data.post import MAX_TEXT_CHARACTERS
from serving.app import create_app
from serving.loading import load_predictor
from serving.settings import Settings
from serving.wire import BatchResponse, ErrorResponse, PredictResponse
from tests.serving import dialects
from tests.serving.clients import PATIENT_MS, WAIT_S, service_of

PREDICT, BATCH = "/v1/predict", "/v1/predict/batch"
OWN_ROUTES = (PREDICT, BATCH)
ROUTES = (*OWN_ROUTES, *(each.path for each in dialects.DIALECTS.values()))
SPOKEN = {each.path: each for each in dialects.DIALECTS.values()}
PLACE = "the-place-of-the-text"


@dataclass(frozen=True)
class Hostile:
    """One token of JSON, sent where the text of a post stands."""

    name: str
    token: bytes

    def __str__(self) -> str:
        return self.name


def text(name: str, value: str) -> Hostile:
    return Hostile(name, json.dumps(value).encode())


JUDGED = (
    text("zero-width marks alone", "\u200b\u200c\u200d\u2060\ufeff"),
    text("right-to-left marks alone", "\u202e\u200f\u2067\u2069"),
    text("text turned round", "\u202eyltcerroc ,lecrap ym si erehw\u202c"),
    text("2,000 emoji", "\U0001f621" * 2_000),
    text("a family of 2,000 characters", ("\U0001f468\u200d\U0001f469\u200d\U0001f467" * 400)[:2_000]),
    text("2,000 marks on one letter", "e" + "\u0301" * 1_999),
    text("a NUL within", "where is my\0 parcel"),
    text("NUL alone", "\0" * 50),
    text("all control characters", "".join(map(chr, range(32)))),
    text("the last character there is", "\U0010ffff\uffff\ufffe"),
    text("a pair of surrogates escaped, which is one character", "\U0001f621"),
    text("5,000 characters without a space", "a" * 5_000),
    text("spaces alone", " \t\n\u3000\xa0"),
)
REFUSED = (
    Hostile("bytes that are no UTF-8", b'"where \xff\xfe"'),
    Hostile("a longer form than UTF-8 allows", b'"\xc0\xaf"'),
    Hostile("a cut character", b'"\xf0\x9f\x98"'),
    Hostile("a raw lone surrogate", b'"\xed\xa0\x80"'),
    Hostile("an escaped lone surrogate", rb'"\ud800"'),
    Hostile("an escaped lone low surrogate", rb'"parcel \udc00"'),
    Hostile("surrogates the wrong way round", rb'"\ude21\ud83d"'),
    Hostile("a raw NUL", b'"where\0"'),
    Hostile("NaN", b"NaN"),
    Hostile("Infinity", b"Infinity"),
    Hostile("-Infinity", b"-Infinity"),
    Hostile("1e400", b"1e400"),
    Hostile("an integer of 4,000 digits", b"9" * 4_000),
    Hostile("an integer of 100,000 digits", b"9" * 100_000),
    Hostile("5,000 arrays in arrays", b"[" * 5_000 + b"]" * 5_000),
    Hostile("100,000 arrays never closed", b"[" * 100_000),
    Hostile("5,000 objects in objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    Hostile("no text", b'""'),
    Hostile("an escape that is none", rb'"\x41"'),
    text("one character too many", "a" * (MAX_TEXT_CHARACTERS + 1)),
)


def body_of(route: str, token: bytes) -> bytes:
    """A valid body of the route, with the token where the text of its one post stands."""
    post = {"text": PLACE}
    own: dict[str, Any] = {PREDICT: post, BATCH: {"posts": [post]}}
    whole = own[route] if route in own else SPOKEN[route].body(PLACE)
    return json.dumps(whole).encode().replace(json.dumps(PLACE).encode(), token)


def send(client: TestClient, route: str, body: bytes) -> Response:
    return client.post(route, content=body, headers={"content-type": "application/json"})


def check_refused(response: Response, route: str, *statuses: int) -> None:
    """It is an error of that status in the shape of its route, with the fallback and nothing of what broke."""
    assert response.status_code in statuses, response.text[:500]
    if route in SPOKEN:
        dialects.check_error(response, response.status_code, SPOKEN[route])
    else:
        ErrorResponse.model_validate(response.json(), extra="forbid", strict=False)
        assert response.json()["fallback"] == {"action": "agent"}
    assert "Traceback" not in response.text


def actions_of(response: Response, route: str) -> list[str]:
    """What an answer says to do with its posts; a valid answer of text-embeddings-inference says nothing of it."""
    assert response.status_code == 200, response.text[:500]
    answer = response.json()
    if route == PREDICT:
        return [PredictResponse.model_validate(answer, strict=False).decision.action]
    if route == BATCH:
        return [each.decision.action for each in BatchResponse.model_validate(answer, strict=False).results]
    if route == dialects.MLFLOW.path:
        return [each["action"] for each in answer["predictions"]]
    if route == dialects.KSERVE.path:
        return next(each["data"] for each in answer["outputs"] if each["name"] == "action")
    assert {each["label"] for each in answer[0]} == {"simple", "complex", "sensitive", "influencer"}
    return []


@pytest.fixture(scope="module")
def shipped() -> Iterator[TestClient]:
    """A client of the server with the bundle that ships: what it makes of a text is the model's own doing."""
    own = Settings(request_timeout_ms=PATIENT_MS)
    with TestClient(create_app(own, lambda: load_predictor(own))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        yield client


@pytest.mark.parametrize("hostile", JUDGED, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_what_is_text_is_answered_by_the_shipped_model_and_not_closed_by_it(
    shipped: TestClient, route: str, hostile: Hostile
) -> None:
    response = send(shipped, route, body_of(route, hostile.token))
    if route == dialects.TEI.path and response.status_code == 422:
        check_refused(response, route, 422)  # longer than the model reads, which it may say instead
    else:
        assert "auto_answer" not in actions_of(response, route)


@pytest.mark.parametrize("hostile", REFUSED, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_what_is_no_text_is_refused(client: TestClient, route: str, hostile: Hostile) -> None:
    check_refused(send(client, route, body_of(route, hostile.token)), route, 400, 422)


@pytest.mark.parametrize("route", ROUTES)
def test_ten_megabytes_are_refused_whatever_they_are(client: TestClient, route: str) -> None:
    for filling in (b"a", b"[", b"\0", b"\xff"):
        check_refused(send(client, route, body_of(route, b'"' + filling * 10_000_000 + b'"')), route, 413)
        check_refused(send(client, route, filling * 10_000_000), route, 413)


NO_REQUESTS = (b"", b"\0", b"\xef\xbb\xbf{}", b"null", b"[]", b"1e400", b'"a"', b"{}", b"[" * 100_000)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", NO_REQUESTS, ids=lambda body: repr(body[:8]))
def test_a_body_that_is_no_request_is_refused(client: TestClient, route: str, body: bytes) -> None:
    check_refused(send(client, route, body), route, 400, 422)


NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "1.5", "-1", "9" * 400, "9" * 4_500, '"9e999"')


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:10])
def test_a_count_that_is_none_is_refused(client: TestClient, number: str) -> None:
    for field in ('"author": {"followers": %s}', '"reach": {"likes": %s}', '"posted_at": %s'):
        body = f'{{"text": "thanks", {field % number}}}'.encode()
        response = send(client, PREDICT, body)
        if response.status_code == 200:  # seconds since 1970, or a fraction so small that it is zero
            assert number in ("1.5", "-1", "1e-400")
        else:
            check_refused(response, PREDICT, 400, 422)


def test_of_a_key_that_is_there_twice_the_last_is_read_and_an_invalid_one_is_refused(client: TestClient) -> None:
    twice = send(client, PREDICT, b'{"text": "thanks", "text": "the heater injured me"}')
    assert twice.json()["route"]["label"] == "sensitive"
    check_refused(send(client, PREDICT, b'{"text": "thanks", "text": 1}'), PREDICT, 422)
    many = b'{"text": "lol",' + b'"text": "lol",' * 20_000 + b'"text": "the heater injured me"}'
    assert actions_of(send(client, PREDICT, many), PREDICT) == ["specialist"]


def test_a_thousand_fields_that_nobody_knows_are_refused_in_a_few_words(client: TestClient) -> None:
    body = json.dumps({"text": "thanks", **{f"\u202e{number}\0": "\u200b" for number in range(20_000)}}).encode()
    response = send(client, PREDICT, body)
    check_refused(response, PREDICT, 422)
    assert len(response.content) < 20_000


DANGEROUS = "the heater you sold us caught fire and my daughter's hand is burnt, we are in hospital"
MARKS = ("\u200b", "\u200d", "\u2060", "\u200f", "\u202e", "\u00ad", "\ufeff", "\0")


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: f"U+{ord(mark):04X}")
def test_no_mark_that_nobody_sees_has_a_dangerous_post_closed(shipped: TestClient, mark: str) -> None:
    for hidden in (mark.join(DANGEROUS), mark + DANGEROUS + mark, DANGEROUS.replace(" ", f"{mark} ")):
        response = send(shipped, PREDICT, json.dumps({"text": hidden}).encode())
        assert "auto_answer" not in actions_of(response, PREDICT)


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=300), route=st.sampled_from(ROUTES))
def test_any_bytes_are_refused(client: TestClient, body: bytes, route: str) -> None:
    check_refused(send(client, route, body), route, 400, 422)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(value=ANY_JSON, route=st.sampled_from(ROUTES))
def test_any_json_in_the_place_of_a_text_is_answered_or_refused(client: TestClient, value: Any, route: str) -> None:
    response = send(client, route, body_of(route, json.dumps(value).encode()))
    if response.status_code == 200:
        assert isinstance(value, str | list)
        actions_of(response, route)
    else:
        check_refused(response, route, 400, 422)
