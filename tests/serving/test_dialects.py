"""What holds of every dialect: the same answers, limits, keys and errors as our own interface, in another shape."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from models.predictor import Predictor
from serving.app import create_app
from serving.auth import hash_key
from serving.settings import Settings, read_settings
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, Serve, service_of
from tests.serving.dialects import CLOSED_ROUTES, DIALECTS, KSERVE, MLFLOW, TEI, VERSION, Spoken, check_error
from tests.serving.gates import FAULT_WORD, GATE_WORD, FaultyClassifier, GatedClassifier

SECRET = "xylophone"
each_dialect = pytest.mark.parametrize("spoken", DIALECTS.values(), ids=DIALECTS.keys())


def ask(client: TestClient, spoken: Spoken, *texts: str) -> Any:
    return client.post(spoken.path, json=spoken.body(*texts))


def actions(client: TestClient, spoken: Spoken, *texts: str) -> list[str]:
    """What a dialect says to do with texts; text-embeddings-inference says routes alone."""
    answer = ask(client, spoken, *texts).json()
    if spoken is MLFLOW:
        return [each["action"] for each in answer["predictions"]]
    if spoken is KSERVE:
        return list(next(each["data"] for each in answer["outputs"] if each["name"] == "action"))
    return [scores[0]["label"] for scores in answer]


def test_every_dialect_says_of_posts_what_our_own_interface_says(client: TestClient) -> None:
    texts = ("where is my parcel?", "my son was injured", "still nothing", "lol", "my card is 4111 1111 1111 1111")
    own = client.post("/v1/predict/batch", json={"posts": [{"text": text} for text in texts]}).json()["results"]
    for spoken in (KSERVE, MLFLOW):
        assert actions(client, spoken, *texts) == [each["decision"]["action"] for each in own]
    assert actions(client, TEI, *texts) == [each["route"]["label"] for each in own]


@each_dialect
def test_a_dialect_that_is_switched_off_has_no_routes_and_no_say(serve: Serve, spoken: Spoken) -> None:
    others = ",".join(name for name, each in DIALECTS.items() if each is not spoken)
    with serve(dialects=others) as client:
        for path in (spoken.path, *spoken.open, *spoken.closed):
            answer = client.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "not_found"
        assert spoken.path not in client.get("/openapi.json").json()["paths"]
        for other in DIALECTS.values():
            assert other is spoken or ask(client, other, "thanks").status_code == 200


def test_the_setting_takes_names_with_commas_between_and_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().dialects == tuple(DIALECTS)
    monkeypatch.setenv("SIGNALBOX_DIALECTS", "tei, kserve")
    assert read_settings().dialects == ("tei", "kserve")
    monkeypatch.setenv("SIGNALBOX_DIALECTS", "")
    assert read_settings().dialects == ()


@each_dialect
def test_a_post_that_is_not_allowed_is_refused_in_the_words_of_the_dialect(client: TestClient, spoken: Spoken) -> None:
    error = check_error(ask(client, spoken, "thanks", ""), 422, spoken)
    assert "String should have at least 1 character" in error[spoken.error]
    assert [each["code"] for each in error["details"]] == ["string_too_short"]
    assert error["details"][0]["field"].endswith(".1.text")


@each_dialect
def test_the_limits_of_the_settings_hold(serve: Serve, spoken: Spoken) -> None:
    with serve(max_text_characters=10, max_batch_posts=2, max_body_bytes=1_024) as client:
        too_long = check_error(ask(client, spoken, SECRET * 2), 422, spoken)
        assert "at most 10 characters" in too_long[spoken.error]
        assert SECRET not in str(too_long)
        assert "at most 2 posts" in check_error(ask(client, spoken, "a", "b", "c"), 422, spoken)[spoken.error]
        check_error(ask(client, spoken, "a" * 2_000), 413, spoken)
        assert ask(client, spoken, "a" * 10, "b").status_code == 200


@each_dialect
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5_000])
def test_a_body_that_is_not_json_is_refused(client: TestClient, spoken: Spoken, body: bytes) -> None:
    response = client.post(spoken.path, content=body, headers={"content-type": "application/json"})
    check_error(response, 400, spoken)


@each_dialect
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": "text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_a_body_of_another_kind_is_refused(client: TestClient, spoken: Spoken, headers: dict[str, str]) -> None:
    body = json.dumps(spoken.body(SECRET))
    assert SECRET not in str(check_error(client.post(spoken.path, content=body, headers=headers), 415, spoken))


@each_dialect
def test_an_unknown_field_is_refused_by_name(client: TestClient, spoken: Spoken) -> None:
    error = check_error(client.post(spoken.path, json={**spoken.body("thanks"), "temperature": 3}), 422, spoken)
    assert [(each["field"], each["code"]) for each in error["details"]] == [("temperature", "unknown_field")]


@each_dialect
def test_another_method_is_refused_and_the_right_one_named(client: TestClient, spoken: Spoken) -> None:
    refused = client.get(spoken.path)
    assert "Allowed: POST" in check_error(refused, 405, spoken)[spoken.error]
    assert refused.headers["allow"] == "POST"


@each_dialect
def test_what_does_not_fit_the_queue_is_refused_with_the_time_to_come_again(serve: Serve, spoken: Spoken) -> None:
    classifier = GatedClassifier()
    with serve(classifier, workers=1, queue_posts=2, max_batch_posts=2) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, client, spoken, GATE_WORD, "thanks")
        assert classifier.entered.wait(WAIT_S)
        refused = ask(client, spoken, "thanks")
        classifier.gate.set()
        assert running.result(WAIT_S).status_code == 200
        check_error(refused, 429, spoken)
        assert int(refused.headers["retry-after"]) >= 1


@each_dialect
def test_a_request_that_is_not_done_in_time_is_given_up(serve: Serve, spoken: Spoken) -> None:
    classifier = GatedClassifier()
    with serve(classifier, request_timeout_ms=20) as client:
        check_error(ask(client, spoken, GATE_WORD), 504, spoken)
        classifier.gate.set()


@each_dialect
def test_an_exception_that_nobody_expected_is_answered_without_its_text(serve: Serve, spoken: Spoken) -> None:
    with serve(FaultyClassifier()) as client:
        error = check_error(ask(client, spoken, f"{FAULT_WORD} {SECRET}"), 500, spoken)
        assert SECRET not in str(error)


@each_dialect
def test_what_breaks_before_a_route_is_found_is_said_in_the_words_of_the_dialect(
    client: TestClient, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = client.app
    assert isinstance(app, FastAPI)

    async def broken(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(app.router, "middleware_stack", broken)
    for path in (*spoken.open, *spoken.closed):
        check_error(client.get(path), 500, spoken)


@pytest.fixture
def starting(make_predictor: MakePredictor) -> Iterator[TestClient]:
    """A server whose model is still loading."""
    loading = Event()

    def load() -> Predictor:
        assert loading.wait(WAIT_S)
        return make_predictor()

    with TestClient(create_app(Settings(), load)) as client:
        yield client
        loading.set()


@each_dialect
def test_until_a_model_answers_the_dialect_says_so(starting: TestClient, spoken: Spoken) -> None:
    refused = ask(starting, spoken, "thanks")
    check_error(refused, 503, spoken)
    assert refused.headers["retry-after"] == "1"
    for path in {*spoken.open, *spoken.closed} - {"/v2", "/v2/health/live", "/version"}:
        check_error(starting.get(path), 503, spoken)


@pytest.fixture(scope="module")
def guarded(make_predictor: MakePredictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server with a keys file: a key to predict, and one for metrics alone."""
    path: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = [{"name": name, "sha256": hash_key(name), "scopes": [name]} for name in ("predict", "metrics")]
    path.write_text(json.dumps({"keys": keys}))
    app = create_app(Settings(api_keys_file=path, request_timeout_ms=PATIENT_MS), make_predictor)
    with TestClient(app) as client:
        assert service_of(client).settled.wait(WAIT_S)
        yield client


@pytest.mark.parametrize(("method", "path"), sorted(CLOSED_ROUTES))
def test_a_key_with_the_scope_to_predict_is_needed_and_enough(guarded: TestClient, method: str, path: str) -> None:
    spoken = TEI if path == "/info" else next((each for each in DIALECTS.values() if each.path == path), KSERVE)
    versions = service_of(guarded).versions
    assert versions is not None
    place = path.format(version=versions.model)
    body = spoken.body("thanks") if method == "POST" else None
    check_error(guarded.request(method, place, json=body), 401, spoken)
    check_error(guarded.request(method, place, json=body, headers={"X-API-Key": "metrics"}), 403, spoken)
    for headers in ({"X-API-Key": "predict"}, {"Authorization": "Bearer predict"}):
        assert guarded.request(method, place, json=body, headers=headers).status_code == 200


def test_requests_of_a_dialect_are_counted_by_their_route_without_its_parameters(serve: Serve) -> None:
    with serve() as client:
        client.get(f"/v2/models/signalbox/versions/{SECRET}")
        ask(client, TEI, "thanks")
        metrics = client.get("/metrics").text
        assert f'signalbox_requests_total{{route="{VERSION}",status="404"}} 1.0' in metrics
        assert 'signalbox_requests_total{route="/predict",status="200"} 1.0' in metrics
        assert 'signalbox_predictions_total{label="simple"} 1.0' in metrics
        assert SECRET not in metrics
