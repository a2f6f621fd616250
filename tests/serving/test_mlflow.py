"""The scoring protocol of MLflow, asked by hand and by MLflow's own client."""

import math
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from tests.serving.dialects import MLFLOW, check_error

PARCEL, INJURED = "where is my parcel?", "my son was injured"
JSON = {"content-type": "application/json"}


def invoke(client: TestClient, **body: object) -> Any:
    response = client.post("/invocations", json=body)
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def refusal(client: TestClient, body: object) -> dict[str, Any]:
    error = check_error(client.post("/invocations", json=body), 422, MLFLOW)
    assert error["error_code"] == "BAD_REQUEST"
    return dict(error["details"][0])


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text"], "data": [[PARCEL], [INJURED]], "index": [7, 8]}},
        {"dataframe_records": [{"text": PARCEL}, {"text": INJURED}]},
        {"inputs": [PARCEL, INJURED]},
        {"inputs": [PARCEL, {"text": INJURED, "platform": "x"}]},
        {"inputs": {"text": [PARCEL, INJURED], "author.followers": [3, None]}},
        {"instances": [PARCEL, {"text": INJURED}]},
        {"instances": {"text": [PARCEL, INJURED]}, "params": {}},
    ],
)
def test_posts_in_any_of_the_forms_get_a_record_each_in_order(client: TestClient, body: dict[str, object]) -> None:
    records = invoke(client, **body)
    assert [(each["route"], each["action"]) for each in records] == [
        ("simple", "auto_answer"),
        ("sensitive", "specialist"),
    ]


def test_a_record_is_the_answer_of_our_own_interface_made_flat(client: TestClient) -> None:
    (record,) = invoke(client, inputs=[{"id": "1059", "text": PARCEL}])
    own = client.post("/v1/predict", json={"id": "1059", "text": PARCEL}).json()
    assert record.pop("prediction_id") != own["prediction_id"]
    assert record == {
        "id": "1059",
        "route": own["route"]["label"],
        "confidence": own["route"]["confidence"],
        "probabilities": own["route"]["probabilities"],
        "intent": own["intent"]["label"],
        "intent_confidence": own["intent"]["confidence"],
        "action": own["decision"]["action"],
        "queue": own["decision"]["queue"],
        "abstained": False,
        "move_to_private": False,
        "reasons": ["simple_over_threshold"],
        "truncated": False,
        "versions": own["versions"],
    }


def test_columns_with_a_dot_are_of_author_and_reach_and_empty_cells_are_not_known(client: TestClient) -> None:
    columns = ["text", "author.followers", "reach.reposts", "platform"]
    rows = [[PARCEL, 60_000.0, None, None], [PARCEL, None, 600, "x"], [PARCEL, None, None, None]]
    records = invoke(client, dataframe_split={"columns": columns, "data": rows})
    assert [each["reasons"][0] for each in records] == [
        "followers_over_line",
        "reposts_over_line",
        "simple_over_threshold",
    ]


def test_a_cell_that_is_no_number_is_an_empty_one(client: TestClient) -> None:
    body = '{"dataframe_records": [{"text": "lol", "author.followers": NaN}]}'
    assert client.post("/invocations", content=body, headers=JSON).json()["predictions"][0]["action"] == "no_reply"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "the whole body", "not_one_format"),
        ({"inputs": ["a"], "instances": ["a"]}, "the whole body", "not_one_format"),
        ({"inputs": ["a"], "params": {"top_k": 1}}, "params.top_k", "unknown_field"),
        ({"inputs": "a"}, "inputs", "not_posts"),
        ({"inputs": []}, "inputs", "too_short"),
        ({"inputs": [3]}, "inputs.0", "model_type"),
        ({"inputs": [["a"]]}, "inputs.0", "model_type"),
        ({"inputs": {"text": ["a"], "lang": ["en", "en"]}}, "inputs", "not_columns"),
        ({"inputs": {"text": "a"}}, "inputs", "not_columns"),
        ({"inputs": {}}, "inputs", "not_columns"),
        ({"instances": [{"text": "a"}, {"txet": "a"}]}, "instances.1.text", "missing"),
        ({"dataframe_records": [{"text": "a", "folowers": 3}]}, "dataframe_records.0.folowers", "unknown_field"),
        ({"dataframe_records": [{"text": "a", "author.age": 3}]}, "dataframe_records.0.author.age", "unknown_field"),
        ({"dataframe_records": [{"text": None}]}, "dataframe_records.0.text", "missing"),
        (
            {"dataframe_records": [{"text": "a", "author": {"bio": "b"}, "author.followers": 3}]},
            "dataframe_records.0.author.followers",
            "unknown_field",
        ),
        (
            {"dataframe_split": {"columns": ["text", "folowers"], "data": [["a", 3]]}},
            "dataframe_split.data.0.folowers",
            "unknown_field",
        ),
        ({"dataframe_split": {"columns": ["text"], "data": [["a", 3]]}}, "dataframe_split.data.0", "wrong_length"),
        (
            {"dataframe_split": {"columns": ["text", "text"], "data": [["a", "b"]]}},
            "dataframe_split.columns",
            "repeated_column",
        ),
    ],
)
def test_what_is_no_post_is_refused_by_name(client: TestClient, body: object, field: str, code: str) -> None:
    detail = refusal(client, body)
    assert (detail["field"], detail["code"]) == (field, code)


def test_errors_have_the_names_that_mlflow_gives_them(client: TestClient) -> None:
    refused = client.post("/invocations", content="text\nlol\n", headers={"content-type": "text/csv"})
    error = check_error(refused, 415, MLFLOW)
    assert error["error_code"] == "BAD_REQUEST"
    assert "declared as text/csv. Wanted: application/json." in error["message"]


def test_ping_and_version_are_as_mlflow_has_them(client: TestClient) -> None:
    ping = client.get("/ping")
    assert (ping.status_code, ping.text, ping.headers["content-type"]) == (200, "\n", "application/json")
    assert client.get("/version").text == "2.0"


def test_the_client_of_mlflow_is_answered(serving_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas", reason="the environment that proves serving light has no MLflow")
    scoring = pytest.importorskip("mlflow.pyfunc.scoring_server.client")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    address = urlsplit(serving_address)
    server = scoring.ScoringServerClient(address.hostname, address.port)
    server.ping()
    assert server.get_version() == "2.0"

    posts = pandas.DataFrame({"text": [PARCEL, INJURED], "author.followers": [212, math.nan]})
    answered = server.invoke(posts).get_predictions()
    assert list(answered["action"]) == ["auto_answer", "specialist"]
    assert list(answered["queue"]) == ["auto", "sensitive"]

    with pytest.raises(Exception, match=r"error code 422.*folowers.*fallback"):
        server.invoke(pandas.DataFrame({"text": [PARCEL], "folowers": [3]}))
