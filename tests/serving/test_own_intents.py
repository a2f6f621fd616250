"""Bundles whose intents are the user's own: what is served names them, also while bundles are swapped for others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.testclient import TestClient

from data.taxonomy import BUILT_IN, Taxonomy
from models.guards import Guards, LanguageDetector
from serving.app import create_app
from serving.auth import hash_key
from serving.client.patience import Reply
from serving.client.results import call_for, results_of
from serving.journal.replay import replay
from serving.journal.store import open_store
from serving.loading import load_predictor
from serving.settings import Settings, SettingsError
from tests.data.own_taxonomy import OWN
from tests.fakes import BOLD_POLICY
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import Meaning
from tests.serving.clients import PATIENT_MS, WAIT_S, read_rules, service_of
from tests.serving.journals import address_of

KEY = "sbx_of-the-operator"
POST = {"text": "where is my parcel"}
MEANING: Meaning = {"parcel": ("simple", "where_is_it"), "thanks": ("simple", "chatter")}
POLICY = BOLD_POLICY.model_copy(update={"no_reply_intents": OWN.no_reply_intents})
TAXONOMIES: dict[str, Taxonomy] = {"1": BUILT_IN, "acme-1": OWN}
INTENT_OF = {"1": "order_status", "acme-1": "where_is_it"}
"""What a bundle of each taxonomy makes of `POST`."""
SWAPS = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle of each taxonomy, named by it."""
    root = tmp_path_factory.mktemp("bundles")
    write_tiny_bundle(root / "1", version="built-in")
    write_tiny_bundle(root / "acme-1", version="own", meaning=MEANING, policy=POLICY, taxonomy=OWN)
    return root


@pytest.fixture
def settings(root: Path, tmp_path: Path) -> Settings:
    keys = tmp_path / "keys.json"
    scopes = '["predict", "model", "admin"]'
    keys.write_text(f'{{"keys": [{{"name": "operator", "sha256": "{hash_key(KEY)}", "scopes": {scopes}}}]}}')
    return Settings.model_validate(
        {
            "bundle": root / "acme-1",
            "bundles_root": root,
            "api_keys_file": keys,
            "request_timeout_ms": PATIENT_MS,
            "journal": f"sqlite:///{tmp_path / 'journal.db'}",
        }
    )


@pytest.fixture(scope="module")
def guards() -> Guards:
    return Guards(LanguageDetector())


@pytest.fixture
def client(settings: Settings, guards: Guards) -> Iterator[TestClient]:
    """A server of the bundle with intents of its own."""
    app = create_app(settings, lambda: load_predictor(settings, guards=guards))
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        assert service_of(client).settled.wait(WAIT_S)
        assert service_of(client).failure == ""
        read_rules(client)
        yield client


def reload(client: TestClient, bundle: str, **options: object) -> None:
    answer = client.post("/v1/admin/reload", json={"bundle": bundle, **options})
    assert answer.status_code == 200, answer.text


def check_whole(answer: Any) -> str:
    """The taxonomy of an answer, all of whose intents are of it."""
    version: str = answer["versions"]["taxonomy"]
    assert answer["intent"]["label"] == INTENT_OF[version]
    assert {each["label"] for each in answer["intent"]["alternatives"]} <= set(TAXONOMIES[version].names)
    return version


def test_an_answer_names_the_intents_of_the_bundle(client: TestClient) -> None:
    answer = client.post("/v1/predict", json=POST).json()
    assert check_whole(answer) == "acme-1"
    assert answer["decision"]["action"] == "auto_answer"
    assert client.post("/v1/predict", json={"text": "thanks"}).json()["decision"]["action"] == "no_reply"


def test_what_is_in_service_lists_them_in_their_order(client: TestClient) -> None:
    described = client.get("/v1/model").json()
    assert described["labels"]["intent"] == list(OWN.names)
    assert described["versions"]["taxonomy"] == "acme-1"


def test_the_python_client_reads_them(client: TestClient) -> None:
    reply = client.post("/v1/predict", json=POST)
    (result,) = results_of(call_for(POST), Reply(reply.status_code, reply.content))
    assert result.answer is not None
    assert result.answer.intent.label == "where_is_it"


def test_the_dialects_name_them(client: TestClient) -> None:
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [POST["text"]]}]
    kserve = client.post("/v2/models/signalbox/infer", json={"inputs": inputs}).json()
    assert next(each["data"] for each in kserve["outputs"] if each["name"] == "intent") == ["where_is_it"]
    mlflow = client.post("/invocations", json={"dataframe_records": [POST]}).json()
    assert mlflow["predictions"][0]["intent"] == "where_is_it"


def test_the_journal_keeps_them_and_replays_them(settings: Settings, guards: Guards, tmp_path: Path) -> None:
    app = create_app(settings, lambda: load_predictor(settings, guards=guards))
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        assert service_of(client).settled.wait(WAIT_S)
        answer = client.post("/v1/predict", json=POST).json()
    with closing(open_store(address_of(tmp_path / "journal.db"))) as store:
        row = store.find(answer["prediction_id"])
    assert row is not None
    assert row["intent"] == "where_is_it"
    assert replay(row, load_predictor(settings, guards=guards)).differences == ()


def test_while_bundles_of_two_taxonomies_are_swapped_no_answer_mixes_them(client: TestClient) -> None:
    over = Event()

    def ask() -> set[str]:
        seen = set()
        while not over.is_set():
            batch = client.post("/v1/predict/batch", json={"posts": [POST] * 3}).json()["results"]
            seen |= {check_whole(each) for each in batch}
        return seen

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for number in range(SWAPS):
                reload(client, list(TAXONOMIES)[number % 2])
                assert check_whole(client.post("/v1/predict", json=POST).json()) == list(TAXONOMIES)[number % 2]
        finally:
            over.set()
        assert set().union(*(each.result(WAIT_S) for each in asking)) == set(TAXONOMIES)


def test_a_canary_may_have_other_intents_than_the_champion(client: TestClient) -> None:
    reload(client, "1", **{"as": "canary", "share": 0.5})
    posts = [{**POST, "id": str(number)} for number in range(40)]
    results = client.post("/v1/predict/batch", json={"posts": posts}).json()["results"]
    assert {check_whole(each) for each in results} == set(TAXONOMIES)


def test_a_policy_file_that_names_other_intents_keeps_the_bundle_out(settings: Settings, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(BOLD_POLICY.model_copy(update={"version": "8"}).model_dump_json())
    with pytest.raises(SettingsError) as refused:
        load_predictor(settings.model_copy(update={"policy": policy}))
    assert str(refused.value).startswith(
        f"The policy file {policy} cannot be used: Policy 8 does not fit: its no_reply_intents names 'not_service'."
    )
