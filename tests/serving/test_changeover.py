"""The model in service is changed while it answers: all or nothing, never mixed, and back by one call."""

import gc
import json
import logging
import shutil
import sqlite3
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from models.bundle import load_bundle, sha256_of
from models.guards import Guards, LanguageDetector
from models.policy import Thresholds
from models.predictor import Prediction, Predictor
from serving.app import create_app
from serving.auth import hash_key
from serving.changeover import BundleLoader, Changeover, Enforced
from serving.loading import load_predictor
from serving.settings import Settings
from tests.fakes import BOLD_POLICY
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import MEANING, Meaning
from tests.serving.clients import PATIENT_MS, WAIT_S, service_of
from tests.serving.journals import kept

KEY, OTHER_KEY = "sbx_of-the-operator", "sbx_of-the-crm"
OLD, NEW = "2026.11.22+old000", "2026.12.01+new000"
ANOTHER_MEANING: Meaning = {**MEANING, "parcel": ("complex", "delivery_problem")}
ROUTE_OF = {OLD: "simple", NEW: "complex"}
"""What each of the two makes of `POST`."""
POST = {"text": "where is my parcel"}
SWAPS = 50
Started = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the bundles `old` and `new`."""
    root = tmp_path_factory.mktemp("bundles")
    write_tiny_bundle(root / "old", version=OLD)
    write_tiny_bundle(root / "new", version=NEW, meaning=ANOTHER_MEANING)
    return root


@pytest.fixture(scope="module")
def guards() -> Guards:
    """One language model for all servers."""
    return Guards(LanguageDetector())


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """The same two, to be spoilt."""
    shutil.copytree(written, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def start(root: Path, tmp_path: Path, guards: Guards) -> Started:
    """A server with a keys file that serves `old` to begin with."""

    @contextmanager
    def started(load: BundleLoader | None = None, **options: object) -> Iterator[TestClient]:
        keys = tmp_path / "keys.json"
        entries = [
            {"name": "operator", "sha256": hash_key(KEY), "scopes": ["predict", "model", "metrics", "admin"]},
            {"name": "crm", "sha256": hash_key(OTHER_KEY), "scopes": ["predict"]},
        ]
        keys.write_text(json.dumps({"keys": entries}))
        settings = Settings.model_validate(
            {"bundle": root / "old", "api_keys_file": keys, "request_timeout_ms": PATIENT_MS, **options}
        )
        app = create_app(settings, lambda: load_predictor(settings, guards=guards), load_bundle=load)
        with TestClient(app, headers={"X-API-Key": KEY}) as client:
            assert service_of(client).settled.wait(WAIT_S)
            assert service_of(client).failure == ""
            yield client

    return started


def change(client: TestClient, verb: str, **body: object) -> Response:
    return client.post(f"/v1/admin/{verb}", json=body or None)


def reload(client: TestClient, bundle: str | None = "new", role: str = "champion", share: float | None = None) -> Any:
    response = change(client, "reload", bundle=bundle, share=share, **{"as": role})
    assert response.status_code == 200, response.text
    return response.json()


def answered(client: TestClient, **fields: object) -> tuple[str, str]:
    """The model that answered, and its route; one that answers must answer as itself."""
    response = client.post("/v1/predict", json={**POST, **fields})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["route"]["label"] == ROUTE_OF[answer["versions"]["model"]]
    return answer["versions"]["model"], answer["route"]["label"]


def in_service(client: TestClient) -> str:
    return answered(client)[0]


# changes


def test_a_new_champion_answers_from_its_reload_on(start: Started, root: Path) -> None:
    with start() as client:
        assert in_service(client) == OLD
        done = reload(client)
        assert in_service(client) == NEW
        assert client.get("/v1/model").json()["versions"]["model"] == NEW
        assert done["lineup"]["champion"] == {
            "versions": {"model": NEW, "policy": "7", "taxonomy": "1", "rendering": "1"},
            "bundle": str(root / "new"),
        }
        assert done["lineup"]["previous"]["versions"]["model"] == OLD
        assert done["lineup"] == client.get("/v1/admin/lineup").json()


def test_a_reload_says_what_the_new_model_does_otherwise_with_the_golden_posts(start: Started) -> None:
    with start() as client:
        golden = reload(client)["golden"]
        assert golden["posts"] == 4
        assert golden["routes"] >= 1
        first = golden["differences"][0]
        assert first["id"] == "g-1"
        assert (first["before"]["route"], first["after"]["route"]) == ("simple", "complex")
        assert (first["before"]["action"], first["after"]["action"]) == ("auto_answer", "agent")
        assert reload(client)["golden"]["differences"] == []


def test_one_call_goes_back_and_another_undoes_that(start: Started) -> None:
    with start() as client:
        reload(client)
        assert change(client, "rollback").json()["champion"]["versions"]["model"] == OLD
        assert in_service(client) == OLD
        change(client, "rollback")
        assert in_service(client) == NEW


def test_the_same_directory_is_read_again_where_none_is_named(start: Started, root: Path) -> None:
    shutil.copytree(root / "old", root / "first")
    (root / "current").symlink_to("first")
    with start(bundle=root / "current") as client:
        (root / "current").unlink()
        (root / "current").symlink_to("new")
        assert reload(client, None)["lineup"]["champion"]["bundle"] == str(root / "new")
        assert in_service(client) == NEW


def test_a_policy_file_is_read_again_with_the_bundle(start: Started, root: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    shy = BOLD_POLICY.model_copy(update={"version": "shy", "thresholds": Thresholds(simple=1.0)})
    policy.write_text(BOLD_POLICY.model_copy(update={"version": "bold"}).model_dump_json())
    with start(policy=policy) as client:
        policy.write_text(shy.model_dump_json())
        assert client.post("/v1/predict", json=POST).json()["versions"]["policy"] == "bold"
        assert reload(client, "old")["lineup"]["champion"]["versions"]["policy"] == "shy"
        assert client.post("/v1/predict", json=POST).json()["decision"]["action"] == "agent"
        policy.write_text("{")
        refused = change(client, "reload", bundle="new")
        assert refused.json()["error"]["code"] == "bundle_refused"
        assert f"The policy file {policy} cannot be used" in refused.json()["error"]["message"]


def enforce(client: TestClient, active: Enforced | None) -> None:
    changeover: Changeover = client.app.state.changeover  # type: ignore[attr-defined] # an application of ours
    assert client.portal is not None
    client.portal.call(changeover.enforce, active)


def test_the_policy_in_force_is_that_of_its_model_alone_however_models_change(start: Started) -> None:
    def champion(client: TestClient) -> tuple[str, str, str]:
        answer = client.post("/v1/predict", json=POST).json()
        return answer["versions"]["model"], answer["versions"]["policy"], answer["decision"]["action"]

    shy = BOLD_POLICY.model_copy(update={"version": "shy", "thresholds": Thresholds(simple=1.0)})
    with start() as client:
        enforce(client, Enforced(shy, OLD, "bob"))
        assert champion(client) == (OLD, "shy", "agent")
        assert reload(client, "old")["lineup"]["champion"]["versions"]["policy"] == "shy"
        assert champion(client) == (OLD, "shy", "agent")
        reload(client)
        assert champion(client)[:2] == (NEW, "7")
        change(client, "rollback")
        assert champion(client) == (OLD, "shy", "agent")
        enforce(client, None)
        assert champion(client) == (OLD, "7", "auto_answer")


def test_a_model_that_cannot_decide_by_the_policy_in_force_does_not_become_champion(
    start: Started, tmp_path: Path
) -> None:
    """The file and the version in force have one name and say different things: no answer could tell which decided."""
    policy = tmp_path / "policy.json"
    bold = BOLD_POLICY.model_copy(update={"version": "8"})
    policy.write_text(bold.model_dump_json())
    with start(policy=policy) as client:
        enforce(client, Enforced(bold.model_copy(update={"no_reply_intents": ()}), NEW, "bob"))
        refused = change(client, "reload", bundle="new")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "lineup_conflict")
        assert "Wanted: a version of its own" in refused.json()["error"]["message"]
        assert in_service(client) == OLD


def _under_the_name_of_another(bundle: Path) -> None:
    shutil.rmtree(bundle)
    write_tiny_bundle(bundle, version=OLD, meaning=ANOTHER_MEANING)


def _under_the_policy_of_another(bundle: Path) -> None:
    shutil.rmtree(bundle)
    write_tiny_bundle(bundle, version=OLD, policy=BOLD_POLICY.model_copy(update={"thresholds": Thresholds()}))


@pytest.mark.parametrize("spoil", [_under_the_name_of_another, _under_the_policy_of_another])
def test_a_policy_in_force_hides_no_bundle_that_has_the_name_of_another(
    start: Started, root: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(root / "new")
    with start() as client:
        enforce(client, Enforced(BOLD_POLICY.model_copy(update={"version": "4"}), OLD, "bob"))
        for role in ("champion", "shadow"):
            refused = change(client, "reload", bundle="new", **{"as": role})
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bundle_refused")
            assert f"another content: model {OLD}, policy 7" in refused.json()["error"]["message"]
        assert client.get("/v1/model").json()["versions"]["policy"] == "4"


# shadow and canary


def test_a_shadow_never_changes_an_answer_and_every_post_is_accounted_for(start: Started) -> None:
    with start() as client:
        before = [client.post("/v1/predict", json={**POST, "id": str(each)}).json() for each in range(20)]
        reload(client, "new", "shadow")
        after = [client.post("/v1/predict", json={**POST, "id": str(each)}).json() for each in range(20)]
        for one, other in zip(before, after, strict=True):
            assert one | {"prediction_id": ""} == other | {"prediction_id": ""}
        challenger = settled(client, posts=20)
        assert (challenger["versions"]["model"], challenger["mode"], challenger["share"]) == (NEW, "shadow", 0.0)
        assert challenger["posts"]["answered"] == 0
        assert challenger["disagreements"]["route"] == challenger["posts"]["compared"]


def settled(client: TestClient, *, posts: int) -> Any:
    """The challenger, once each of `posts` was compared or dropped."""
    for _ in range(100_000):
        challenger = client.get("/v1/model").json()["challenger"]
        if challenger["posts"]["compared"] + challenger["posts"]["dropped"] >= posts:
            return challenger
    pytest.fail(f"{posts} posts were not accounted for: {challenger['posts']}")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has room for every shadow post, and scores it at once."""

    def shadow(_: object, model: Any, posts: Any, then: Callable[[list[Prediction]], None]) -> bool:
        then(model.predictor.predict(posts))
        return True

    monkeypatch.setattr("serving.engine.Engine.shadow", shadow)


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_disagreements_are_counted_from_the_champions_side_whoever_answered(start: Started, mode: str) -> None:
    with start() as client:
        reload(client, "new", mode)
        batch = [{**POST, "id": str(each)} for each in range(100)] + [{"text": "injured", "id": "101"}]
        results = client.post("/v1/predict/batch", json={"posts": batch}).json()["results"]
        challenger = client.get("/v1/model").json()["challenger"]
        answered_by = Counter(result["versions"]["model"] for result in results)
        assert challenger["posts"] == {"answered": answered_by[NEW], "compared": 101, "dropped": 0}
        assert (answered_by[NEW] > 0) == (mode == "canary")
        assert challenger["disagreements"] == {"route": 100, "action": 100, "auto_gained": 0, "auto_lost": 100}
        lineup = client.get("/v1/admin/lineup")
        assert "parcel" not in lineup.text
        sample = lineup.json()["sample"]
        assert {each["prediction_id"] for each in sample} == {each["prediction_id"] for each in results[:100]}
        assert {(each["champion"]["route"], each["challenger"]["route"]) for each in sample} == {("simple", "complex")}
        text = client.get("/metrics").text
        assert 'signalbox_disagreements_total{kind="auto_lost"} 100.0' in text
        assert f'model="{NEW}",policy="7",rendering="1",role="{mode}",taxonomy="1"}} 1.0' in text


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_the_journal_keeps_what_the_other_model_made_of_each_answer(start: Started, tmp_path: Path, mode: str) -> None:
    file = tmp_path / "journal.db"
    with start(journal=f"sqlite:///{file}") as client:
        reload(client, "new", mode)
        batch = {"posts": [{**POST, "id": str(each)} for each in range(40)]}
        results = client.post("/v1/predict/batch", json=batch).json()["results"]
    other_of = {OLD: NEW, NEW: OLD}
    answered_by = {each["prediction_id"]: each["versions"]["model"] for each in results}
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(
            "SELECT prediction_id, model_version, route, routes, distance FROM shadows"
        ).fetchall()
    assert {(row[0], row[1]) for row in rows} == {(each, other_of[model]) for each, model in answered_by.items()}
    answers = {each["prediction_id"]: each["route"]["probabilities"] for each in results}
    for prediction_id, version, route, routes, distance in rows:
        assert route == ROUTE_OF[version]
        apart = sum(abs(value - json.loads(routes)[name]) for name, value in answers[prediction_id].items()) / 2
        assert distance == pytest.approx(apart, abs=1e-5)  # an answer rounds to six digits


def test_a_canary_answers_its_share_and_always_the_same_posts(start: Started) -> None:
    with start() as client:
        reload(client, "new", "canary", 0.3)
        batch = {"posts": [{**POST, "id": str(each)} for each in range(200)]}
        first, again = (client.post("/v1/predict/batch", json=batch).json()["results"] for _ in range(2))
        for result in first:
            assert result["route"]["label"] == ROUTE_OF[result["versions"]["model"]]
        models = [result["versions"]["model"] for result in first]
        assert models == [result["versions"]["model"] for result in again]
        assert 30 <= models.count(NEW) <= 90
        alone = [answered(client, id=str(each))[0] for each in range(20)]
        assert alone == models[:20]
        reload(client, "new", "canary", 0.6)
        grown = client.post("/v1/predict/batch", json=batch).json()["results"]
        for before, after in zip(models, grown, strict=True):
            assert before == OLD or after["versions"]["model"] == NEW


def test_the_journal_keeps_of_each_answer_whether_the_canary_gave_it_and_which_model_it_was(
    start: Started, root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "journal.db"
    with start(journal=f"sqlite:///{file}") as client:
        reload(client, "new", "canary", 0.5)
        batch = {"posts": [{**POST, "id": str(each)} for each in range(60)]}
        results = client.post("/v1/predict/batch", json=batch).json()["results"]
    sha256 = {version: sha256_of(root / name / "model.onnx") for name, version in (("old", OLD), ("new", NEW))}
    lane = {OLD: "live", NEW: "canary"}
    versions = {each["prediction_id"]: each["versions"]["model"] for each in results}
    assert set(versions.values()) == {OLD, NEW}
    assert set(kept(file, "prediction_id, lane, model_version, model_sha256, key_name")) == {
        (prediction_id, lane[version], version, sha256[version], "operator")
        for prediction_id, version in versions.items()
    }


def test_a_share_that_is_not_named_is_a_tenth(start: Started) -> None:
    with start() as client:
        assert reload(client, "new", "canary")["lineup"]["challenger"]["share"] == 0.1


def test_an_interface_that_names_one_model_gets_the_answers_of_one(start: Started) -> None:
    with start(dialects=["kserve"]) as client:
        reload(client, "new", "canary", 0.5)
        texts = {
            "name": "text",
            "datatype": "BYTES",
            "shape": [30],
            "data": [f"my parcel {each}" for each in range(30)],
        }
        wanted = [{"name": "model_version"}]
        for path, versions in (("", {OLD, NEW}), (f"/versions/{OLD}", {OLD}), (f"/versions/{NEW}", {NEW})):
            response = client.post(f"/v2/models/signalbox{path}/infer", json={"inputs": [texts], "outputs": wanted})
            assert response.status_code == 200, response.text
            answer = response.json()
            assert set(answer["outputs"][0]["data"]) == {answer["model_version"]}
            assert answer["model_version"] in versions


def test_a_promoted_challenger_answers_everything_and_a_retired_one_nothing(start: Started) -> None:
    with start() as client:
        reload(client, "new", "shadow")
        assert change(client, "promote").json()["challenger"] is None
        assert in_service(client) == NEW
        reload(client, "old", "canary", 1.0)
        assert in_service(client) == OLD
        assert change(client, "retire").json()["challenger"] is None
        assert in_service(client) == NEW


@pytest.mark.parametrize("verb", ["promote", "retire", "rollback"])
def test_what_is_not_there_is_refused_and_nothing_is_changed(start: Started, verb: str) -> None:
    with start() as client:
        refused = change(client, verb)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "lineup_conflict")
        assert refused.json()["fallback"] == {"action": "agent"}
        assert in_service(client) == OLD


# bundles that may not serve


def _corrupt(bundle: Path) -> None:
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)


def _truncate(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_bytes((bundle / "tokenizer.json").read_bytes()[:-100])


def _take_away(bundle: Path) -> None:
    (bundle / "calibration.json").unlink()


def _swap(bundle: Path) -> None:
    shutil.copyfile(bundle.with_name("old") / "model.onnx", bundle / "model.onnx")


def _sign(bundle: Path, *names: str) -> None:
    """Makes the manifest agree with the files, as somebody would who means to."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] |= {name: sha256_of(bundle / name) for name in names}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _swap_and_sign(bundle: Path) -> None:
    _swap(bundle)
    _sign(bundle, "model.onnx")


def _no_graph(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"no graph")
    _sign(bundle, "model.onnx")


def _of_another_program(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"taxonomy": "2"}))


def _reckless(bundle: Path) -> None:
    thresholds = Thresholds(simple=0.0, intent=0.0, sensitive=1.0, influencer=1.0, answer_nothing=False)
    policy = BOLD_POLICY.model_copy(update={"version": "reckless", "thresholds": thresholds})
    shutil.rmtree(bundle)
    write_tiny_bundle(bundle, version=NEW, policy=policy)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_corrupt, "model.onnx was changed: SHA-256 "),
        (_truncate, "tokenizer.json was changed: SHA-256 "),
        (_take_away, "lacks the file calibration.json"),
        (_swap, "model.onnx was changed: SHA-256 "),
        (_swap_and_sign, "computes something else here than where it was made: golden post g-1: "),
        (_no_graph, "could not be made to answer: InvalidProtobuf"),
        (_of_another_program, "it is of taxonomy '2' and has no taxonomy.json"),
        (_reckless, "does not answer as every bundle must: an injury: "),
        (_under_the_name_of_another, f"another content: model {OLD}, policy 7"),
        (_under_the_policy_of_another, f"another content: model {OLD}, policy 7"),
        (shutil.rmtree, "No bundle in "),
    ],
)
def test_a_bundle_that_may_not_serve_is_refused_and_the_one_in_service_stays(
    start: Started, root: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    spoil(root / "new")
    with start() as client:
        assert change(client, "reload", bundle="new", **{"as": "shadow"}).status_code == 422
        refused = change(client, "reload", bundle="new")
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bundle_refused")
        message = refused.json()["error"]["message"]
        assert problem in message
        assert message.endswith("The model in service was not changed.")
        assert client.get("/v1/admin/lineup").json()["challenger"] is None
        assert in_service(client) == OLD
        assert 'signalbox_reloads_total{outcome="refused"} 2.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    "bundle", ["..", "../elsewhere", "/etc", "new/../../elsewhere", "link", "\0", "x" * 900, "new/" * 200]
)
def test_a_bundle_is_not_loaded_from_elsewhere(start: Started, root: Path, bundle: str, tmp_path: Path) -> None:
    shutil.copytree(root / "new", tmp_path / "elsewhere")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    with start() as client:
        refused = change(client, "reload", bundle=bundle)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bundle_refused")
        assert in_service(client) == OLD


def test_bundles_are_loaded_from_the_root_that_is_set(start: Started, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "new", tmp_path / "elsewhere" / "new")
    shutil.rmtree(root / "new")
    with start(bundles_root=tmp_path / "elsewhere") as client:
        reload(client)
        reload(client, str(tmp_path / "elsewhere" / "new"))
        assert change(client, "reload", bundle=str(root / "old")).status_code == 422
        assert reload(client, None)["lineup"]["champion"]["bundle"] == str(root / "old")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"as": "king"}, "as"),
        ({"as": "canary", "share": 1.5}, "share"),
        ({"as": "shadow", "share": 0.5}, "the whole body"),
        ({"bundle": ""}, "bundle"),
        ({"role": "shadow"}, "role"),
    ],
)
def test_a_reload_that_makes_no_sense_is_refused_by_its_field(start: Started, body: Any, field: str) -> None:
    with start() as client:
        refused = change(client, "reload", **body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_post")
        assert refused.json()["error"]["details"][0]["field"] == field
        assert in_service(client) == OLD


# one at a time


def gated(entered: Event, gate: Event) -> BundleLoader:
    """Loads like the real one, once the gate is open."""

    def load(directory: Path, guards: Guards) -> Predictor:
        entered.set()
        assert gate.wait(WAIT_S)
        return Predictor.load(load_bundle(directory), guards=guards)

    return load


def test_while_a_bundle_is_loaded_posts_are_answered_and_other_changes_refused(start: Started) -> None:
    entered, gate = Event(), Event()
    with start(gated(entered, gate)) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(reload, client)
        assert entered.wait(WAIT_S)
        assert in_service(client) == OLD
        for verb in ("reload", "promote", "rollback", "retire"):
            refused = change(client, verb, **({"bundle": "new"} if verb == "reload" else {}))
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "reload_running")
            assert refused.headers["retry-after"] == "1"
        gate.set()
        running.result(WAIT_S)
        assert in_service(client) == NEW
        assert change(client, "rollback").status_code == 200


def test_a_loader_that_breaks_is_said_by_its_kind_alone(start: Started, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(directory: Path, guards: Guards) -> Predictor:
        raise RuntimeError("with a secret in it")

    with start(break_down) as client:
        refused = change(client, "reload", bundle="new")
        assert (refused.status_code, "RuntimeError" in refused.text) == (422, True)
        assert "secret" not in refused.text
        assert "secret" not in caplog.text
        assert change(client, "rollback").json()["error"]["code"] == "lineup_conflict"  # not `reload_running`
        assert in_service(client) == OLD


def test_fifty_swaps_under_load_fail_no_request_and_mix_no_answer(start: Started) -> None:
    batch = {"posts": [{**POST, "id": str(each)} for each in range(8)]}

    def ask(client: TestClient, done: Event) -> Counter[str]:
        """How many answers each model gave until it was done; every one is the named model's own, of one moment."""
        seen: Counter[str] = Counter()
        while not done.is_set():
            seen[in_service(client)] += 1
            response = client.post("/v1/predict/batch", json=batch)
            assert response.status_code == 200, response.text
            results = response.json()["results"]
            assert {each["route"]["label"] == ROUTE_OF[each["versions"]["model"]] for each in results} == {True}
            seen.update(each["versions"]["model"] for each in results)
        return seen

    done = Event()
    with start() as client, ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, client, done) for _ in range(4)]
        try:
            for swap in range(SWAPS // 5):
                reload(client, "old" if swap % 2 else "new")
                change(client, "rollback").raise_for_status()
                reload(client, "new", "canary", 0.5)
                change(client, "promote").raise_for_status()
                change(client, "rollback").raise_for_status()
        finally:
            done.set()
        seen: Counter[str] = Counter()
        for each in asking:
            seen += each.result(WAIT_S)
        assert set(seen) == {OLD, NEW}
        text = client.get("/metrics").text
        counted = [
            float(line.split()[-1]) for line in text.splitlines() if line.startswith("signalbox_lineup_changes_")
        ]
        assert sum(counted) == SWAPS


# what is left behind


def test_a_model_that_nothing_refers_to_is_released(start: Started) -> None:
    with start() as client:
        first = weakref.ref(service_of(client).running().predictor)
        reload(client, "new")
        gc.collect()
        assert first() is not None  # kept to go back to
        reload(client, "new", "shadow")
        in_service(client)
        shadow = service_of(client).lineup().challenger
        assert shadow is not None
        retired = weakref.ref(shadow.model.predictor)
        del shadow
        settled(client, posts=1)
        change(client, "retire")
        reload(client, "new")
        client.get("/metrics")
        gc.collect()
        assert first() is None
        assert retired() is None


def test_every_change_is_logged_with_who_made_it_and_counted(start: Started, caplog: pytest.LogCaptureFixture) -> None:
    with start() as client, caplog.at_level(logging.INFO, "signalbox.changeover"):
        reload(client, "new", "canary")
        change(client, "promote")
        change(client, "reload", bundle="nowhere")
        fields = [record.__dict__["fields"] for record in caplog.records if record.name == "signalbox.changeover"]
        assert fields[0] == {
            "change": "reload",
            "by": "operator",
            "from": {"champion": f"{OLD}, policy 7"},
            "to": {"champion": f"{OLD}, policy 7", "canary": f"{NEW}, policy 7"},
        }
        assert (fields[1]["change"], fields[1]["to"]) == ("promote", {"champion": f"{NEW}, policy 7"})
        assert fields[2]["by"] == "operator"
        assert "No bundle in" in fields[2]["problem"]
        text = client.get("/metrics").text
        assert 'signalbox_lineup_changes_total{change="promote"} 1.0' in text
        assert 'signalbox_reloads_total{outcome="taken"} 1.0' in text


# who may


ROUTES = [("GET", "lineup"), ("POST", "reload"), ("POST", "promote"), ("POST", "rollback"), ("POST", "retire")]


def test_only_a_key_of_the_scope_admin_may_look_or_change(start: Started) -> None:
    with start() as client:
        for method, verb in ROUTES:
            refused = client.request(method, f"/v1/admin/{verb}", headers={"X-API-Key": OTHER_KEY})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_refused")
            unknown = client.request(method, f"/v1/admin/{verb}", headers={"X-API-Key": "sbx_none"})
            assert unknown.status_code == 401


@pytest.mark.parametrize(("method", "verb"), ROUTES)
def test_without_a_keys_file_nobody_may(client: TestClient, method: str, verb: str) -> None:
    refused = client.request(method, f"/v1/admin/{verb}", json={} if verb == "reload" else None)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_closed")
    assert "SIGHUP" in refused.json()["error"]["message"]
