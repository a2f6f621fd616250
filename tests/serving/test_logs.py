import io
import logging

import pytest
from starlette.testclient import TestClient

from models.bundle import BundleError
from models.predictor import Predictor
from serving.app import create_app
from serving.settings import Settings
from tests.serving.clients import WAIT_S, Serve, lines, service_of
from tests.serving.gates import FAULT_WORD, FaultyClassifier

SECRET = "xylophone"
LINE_FIELDS = {
    "time",
    "level",
    "event",
    "request_id",
    "method",
    "route",
    "status",
    "latency_ms",
    "error_code",
    "prediction_ids",
    "trace_id",
}


def test_the_access_log_is_off_unless_it_is_asked_for(serve: Serve, log: io.StringIO) -> None:
    with serve() as client:
        client.post("/v1/predict", json={"text": "thanks"})
    assert [line["event"] for line in lines(log)] == ["model_loaded"]


def test_a_request_is_one_line_with_the_ids_of_its_predictions(serve: Serve, log: io.StringIO) -> None:
    with serve(access_log=True) as client:
        response = client.post("/v1/predict", json={"text": "thanks"}, headers={"X-Request-ID": "crm-1"})
        client.get("/nothing")
    _, answered, refused = lines(log)
    assert set(answered) == LINE_FIELDS
    assert answered["request_id"] == "crm-1"
    assert (answered["method"], answered["route"], answered["status"]) == ("POST", "/v1/predict", 200)
    assert answered["prediction_ids"] == [response.json()["prediction_id"]]
    assert answered["latency_ms"] > 0
    assert (refused["route"], refused["status"], refused["error_code"]) == ("unmatched", 404, "not_found")


def test_what_a_post_says_never_reaches_the_log(serve: Serve, log: io.StringIO) -> None:
    """On every path: answered, refused for a value, for a name, for its bytes, by an unknown path, and broken."""
    with serve(FaultyClassifier(), access_log=True) as client:
        for status, body in (
            (200, {"text": f"my {SECRET} 4111 1111 1111 1111", "author": {"handle": SECRET, "bio": SECRET}}),
            (422, {"text": {"said": SECRET}}),
            (422, {"text": "a", SECRET: SECRET}),
            (422, {"text": "a", "platform": SECRET}),
            (500, {"text": f"{FAULT_WORD} {SECRET}"}),
        ):
            response = client.post("/v1/predict", json=body)
            assert response.status_code == status
            in_batch = client.post("/v1/predict/batch", json={"posts": [body]})
            assert in_batch.status_code == status
        client.post("/v1/predict", content=f'{{"text": "{SECRET}', headers={"content-type": "application/json"})
        client.post(f"/v1/{SECRET}?text={SECRET}", headers={"X-Request-ID": f"my {SECRET}"})
        client.request(SECRET.upper(), "/v1/predict")
    assert SECRET not in log.getvalue().lower()
    assert "4111" not in log.getvalue()
    assert len(lines(log)) == 16


def test_an_unexpected_error_is_logged_by_its_type_and_place_without_a_stack_trace(
    serve: Serve, log: io.StringIO
) -> None:
    with serve(FaultyClassifier()) as client:
        response = client.post("/v1/predict", json={"text": f"{FAULT_WORD} {SECRET}"})
    _, error = lines(log)
    assert error["level"] == "error"
    assert error["event"] == "unexpected_error"
    assert error["error"] == "ValueError"
    assert error["at"].startswith("models.predictor:")
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (BundleError("Bundle file a was changed."), "Bundle file a was changed."),
        (ValueError(SECRET), "The model did not start: ValueError."),
    ],
)
def test_a_model_that_does_not_start_is_logged_with_what_may_be_said(
    log: io.StringIO, fault: Exception, said: str
) -> None:
    def load() -> Predictor:
        raise fault

    with TestClient(create_app(Settings(), load)) as client:
        assert service_of(client).settled.wait(WAIT_S)
    (failed,) = lines(log)
    assert (failed["event"], failed["problem"]) == ("start_failed", said)
    assert SECRET not in log.getvalue()


def test_of_other_programs_only_the_first_line_is_kept(log: io.StringIO) -> None:
    logging.getLogger("asyncio").error("Task failed\nfuture: <Task exception=ValueError('%s')>", SECRET)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    first, second = lines(log)
    assert (first["event"], first["logger"]) == ("Task failed", "asyncio")
    assert (second["event"], second["error"], second["at"]) == ("Exception in ASGI application", "ValueError", None)
    assert SECRET not in log.getvalue()


def test_every_line_is_ascii_and_one_json_object(log: io.StringIO) -> None:
    logging.getLogger("signalbox.test").info("caf\u00e9", extra={"fields": {"line": "a\nb\u2028c"}})
    assert log.getvalue().isascii()
    assert lines(log)[0]["line"] == "a\nb\u2028c"
