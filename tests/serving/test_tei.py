"""The dialect of text-embeddings-inference: its shapes for one post, a pair and a batch."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from data.taxonomy import ROUTES
from tests.serving.dialects import TEI, check_error

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
SEQUENCES = st.lists(TEXTS, min_size=1, max_size=2)


def predict(client: TestClient, inputs: object, **options: object) -> Any:
    response = client.post("/predict", json={"inputs": inputs, **options})
    assert response.status_code == 200, response.text
    return response.json()


def labels(scores: list[dict[str, Any]]) -> list[str]:
    return [each["label"] for each in scores]


def test_one_text_gets_the_scores_of_all_routes_the_most_probable_first(client: TestClient) -> None:
    scores = predict(client, "where is my parcel?")
    assert labels(scores)[0] == "simple"
    assert sorted(labels(scores)) == sorted(ROUTES)
    assert [set(each) for each in scores] == [{"score", "label"}] * 4
    values = [each["score"] for each in scores]
    assert values == sorted(values, reverse=True)
    assert abs(sum(values) - 1) < 1e-5


def test_a_text_alone_in_a_list_is_one_text_and_two_are_a_pair(client: TestClient) -> None:
    alone = predict(client, "where is my parcel?")
    assert predict(client, ["where is my parcel?"]) == alone
    assert predict(client, ["where is my parcel?", "how may we help?"]) == alone


def test_a_batch_is_a_list_of_texts_and_pairs_each_a_list(client: TestClient) -> None:
    answer = predict(client, [["where is my parcel?"], ["my son was injured", "how may we help?"]])
    assert [labels(scores)[0] for scores in answer] == ["simple", "sensitive"]


def test_the_second_of_a_pair_is_the_message_that_the_first_answers(client: TestClient) -> None:
    refused = client.post("/predict", json={"inputs": ["thanks", "b" * 10_001]})
    assert check_error(refused, 422, TEI)["details"][0]["field"] == "inputs.0.in_reply_to"


@settings(max_examples=20)
@given(batch=st.lists(SEQUENCES, min_size=1, max_size=4))
def test_a_batch_answers_each_as_if_it_were_alone(client: TestClient, batch: list[list[str]]) -> None:
    assert predict(client, batch) == [predict(client, sequence) for sequence in batch]


@pytest.mark.parametrize(
    "inputs", [[], [[]], ["a", "b", "c"], [["a", "b", "c"]], [["a"], "b"], ["a", ["b"]], 3, None, {"text": "a"}, [[3]]]
)
def test_what_is_neither_text_nor_pair_nor_batch_is_refused(client: TestClient, inputs: object) -> None:
    error = check_error(client.post("/predict", json={"inputs": inputs}), 422, TEI)
    assert error["error_type"] == "validation"
    assert error["details"][0]["code"] == "not_a_sequence"


def test_scores_that_are_not_calibrated_are_refused(client: TestClient) -> None:
    error = check_error(client.post("/predict", json={"inputs": "a", "raw_scores": True}), 422, TEI)
    assert error["details"][0]["field"] == "raw_scores"
    assert predict(client, "lol", raw_scores=False, truncation_direction="Right") == predict(client, "lol")


def test_a_post_longer_than_the_model_reads_is_refused_unless_it_may_be_cut(client: TestClient) -> None:
    long = "parcel " * 400
    for options in ({}, {"truncate": False}, {"truncate": None}):
        error = check_error(client.post("/predict", json={"inputs": [["lol"], [long]], **options}), 422, TEI)
        assert error["details"][0]["field"] == "inputs.1"
    assert labels(predict(client, long, truncate=True))[0] == "simple"


def test_errors_are_typed_as_the_original_types_them(client: TestClient) -> None:
    assert check_error(client.get("/predict"), 405, TEI)["error_type"] == "validation"


def test_info_says_what_is_in_service(client: TestClient) -> None:
    info = client.get("/info").json()
    assert info["model_id"] == "signalbox"
    assert info["model_dtype"] == "int8"
    classifier = info["model_type"]["classifier"]
    assert classifier["id2label"] == {str(number): label for number, label in enumerate(ROUTES)}
    assert classifier["label2id"] == {label: number for number, label in enumerate(ROUTES)}
    assert info["max_client_batch_size"] == 256
    assert info["max_concurrent_requests"] == 512
    assert info["version"] == client.get("/v1/model").json()["versions"]["model"]


def test_health_is_empty_where_a_model_answers(client: TestClient) -> None:
    health = client.get("/health")
    assert (health.status_code, health.content) == (200, b"")
