"""The bundle that ships, behind the real server: what a newcomer gets from `make serve`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from data.taxonomy import BUILT_IN, ROUTES
from models.bundle import DEFAULT_BUNDLE, load_bundle
from serving.__main__ import main
from serving.app import create_app
from serving.loading import load_predictor
from serving.settings import Settings
from serving.wire import EXAMPLE_POST
from tests.serving.clients import PATIENT_MS, WAIT_S, service_of

MAX_BUNDLE_BYTES = 30_000_000
"""Issue 2: the default bundle is at most 30 MB in git."""
POSTS = (
    "where do I track my parcel?",
    "still waiting, third week now, and nobody answers my mails",
    "the heater you sold us caught fire and my daughter's hand is burnt",
    "my 300k subscribers are asking whether the new phone takes two SIM cards",
    "lol",
    "wo ist mein Paket geblieben, ich warte seit drei Wochen darauf",
    "\U0001f621\U0001f621 @brand https://example.com #fail",
    "tracking says delivered, it is not here. " * 150,
)


@pytest.fixture(scope="module")
def shipped() -> Iterator[TestClient]:
    settings = Settings(request_timeout_ms=PATIENT_MS)
    with TestClient(create_app(settings, lambda: load_predictor(settings))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        assert service_of(client).failure == ""
        yield client


def predict(client: TestClient, **post: Any) -> Any:
    response = client.post("/v1/predict", json=post)
    assert response.status_code == 200, response.text
    return response.json()


def test_it_is_fit_to_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--bundle", str(DEFAULT_BUNDLE)]) == 0, capsys.readouterr().err


def test_it_is_small_enough_for_git() -> None:
    assert sum(path.stat().st_size for path in Path(DEFAULT_BUNDLE).iterdir()) <= MAX_BUNDLE_BYTES


def test_it_answers_the_example_of_the_design(shipped: TestClient) -> None:
    answer = predict(shipped, **EXAMPLE_POST)
    assert (answer["id"], answer["route"]["label"]) == ("1059", "simple")
    assert [each["label"] for each in answer["intent"]["alternatives"]].count("order_status") == 1
    assert answer["due"] == {"acknowledge_by": "2026-11-22T09:15:00Z", "resolve_by": "2026-11-22T10:00:00Z"}
    assert answer["truncated"] is False


@pytest.mark.xfail(
    reason="simple at 0.93 is over the line of 0.91, but it takes it for how_to at 0.78: intents are its weakest part"
)
def test_it_answers_the_example_of_the_design_by_itself(shipped: TestClient) -> None:
    answer = predict(shipped, **EXAMPLE_POST)
    assert (answer["intent"]["label"], answer["decision"]["action"]) == ("order_status", "auto_answer")


def test_it_names_itself_in_every_answer(shipped: TestClient) -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    versions = predict(shipped, text="thanks")["versions"]
    assert versions["model"] == bundle.manifest.model_version
    assert versions["policy"] == bundle.policy.version
    described = shipped.get("/v1/model").json()
    assert described["versions"] == versions
    assert described["files"] == bundle.manifest.files
    assert described["labels"] == {"route": list(ROUTES), "intent": list(BUILT_IN.names)}
    assert described["certificates"] == [each.model_dump(mode="json") for each in bundle.policy.certificates]


def test_a_post_gets_the_same_answer_alone_and_in_a_batch(shipped: TestClient) -> None:
    batch = [{"id": str(place), "text": text} for place, text in enumerate(POSTS)]
    results = shipped.post("/v1/predict/batch", json={"posts": batch}).json()["results"]
    for post, result in zip(batch, results, strict=True):
        assert result | {"prediction_id": ""} == predict(shipped, **post) | {"prediction_id": ""}


@pytest.mark.parametrize(
    "text",
    [
        "the heater you sold us caught fire and my daughter's hand is burnt, we are in hospital",
        "someone took over my account and stole 400 pounds from it, your line does not answer",
        "I can't go on any more and nobody would miss me",
        "your driver groped me and I have gone to the police",
        "parcel? my card is 4111 1111 1111 1111",
        "still no refund, I have told @Ofcom",
    ],
)
def test_no_machine_closes_a_post_that_could_hurt_somebody(shipped: TestClient, text: str) -> None:
    assert predict(shipped, text=text)["decision"]["action"] in ("agent", "specialist")
