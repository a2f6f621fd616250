import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving import auth
from serving.app import create_app
from serving.auth import LOOK_EVERY_S, KeyEntry, KeyRing, Keys, hash_key, new_key, read_keys
from serving.errors import KeyMissingError, KeyRefusedError
from serving.metrics import Metrics
from serving.settings import Settings, SettingsError
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, service_of
from tests.serving.dialects import CLOSED_ROUTES, OPEN_PATHS

NEED_A_KEY = {
    ("POST", "/v1/predict"): "predict",
    ("POST", "/v1/predict/batch"): "predict",
    ("GET", "/v1/model"): "model",
    ("GET", "/metrics"): "metrics",
    ("GET", "/v1/admin/lineup"): "admin",
}
CHANGES = {("POST", f"/v1/admin/{change}"): "admin" for change in ("reload", "promote", "rollback", "retire")}
"""They need a key too; what they do with one is tested in test_changeover.py."""
FEEDBACK = {("POST", "/v1/feedback"): "feedback"}
"""Likewise; see test_feedback.py."""
CLOSED = NEED_A_KEY | CHANGES | FEEDBACK
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hash_key(f"key of {name}"), **fields}


def write_keys(path: Path, *entries: dict[str, Any]) -> None:
    """Moves a keys file into its place at once, as operators should."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"keys": entries}))
    fresh.replace(path)


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def guarded(make_predictor: MakePredictor, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a keys file: a key for everything, one for metrics alone, one that has expired."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = [
        entry("all", scopes=["predict", "model", "metrics", "admin"]),
        entry("prometheus", scopes=["metrics"]),
        entry("old", scopes=["predict", "model", "metrics", "admin"], expires_at="2020-01-01T00:00:00Z"),
    ]
    path.write_text(json.dumps({"keys": keys}))
    app = create_app(Settings(api_keys_file=path, request_timeout_ms=PATIENT_MS), make_predictor)
    with TestClient(app) as client:
        assert service_of(client).settled.wait(WAIT_S)
        yield client


def ask(client: TestClient, method: str, path: str, headers: dict[str, str]) -> Any:
    body = {"posts": [{"text": "thanks"}]} if path.endswith("batch") else {"text": "thanks"}
    return client.request(method, path, json=body if method == "POST" else None, headers=headers)


def check_refusal(response: Any, status: int, code: str) -> str:
    assert response.status_code == status
    body = response.json()
    assert body["error"]["code"] == code
    assert body["fallback"] == {"action": "agent"}
    return str(body["error"]["message"])


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_request_without_a_known_key_is_refused(guarded: TestClient, method: str, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nobody's"},
        {"Authorization": "Basic a2V5IG9mIGFsbA=="},
        {"X-API-Key": "nobody's"},
        {"X-API-Key": hash_key("key of all")},
    ):
        response = ask(guarded, method, path, headers)
        message = check_refusal(response, 401, "key_missing")
        assert response.headers["www-authenticate"] == "Bearer"
        assert f"a key with the scope {CLOSED[method, path]}" in message
        assert "nobody" not in response.text


@pytest.mark.parametrize(("method", "path"), NEED_A_KEY)
def test_a_key_with_the_scope_is_let_through_in_either_header(guarded: TestClient, method: str, path: str) -> None:
    for headers in (
        {"Authorization": "Bearer key of all"},
        {"authorization": "bearer   key of all"},
        {"X-API-Key": "key of all"},
    ):
        assert ask(guarded, method, path, headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_key_that_has_expired_is_refused(guarded: TestClient, method: str, path: str) -> None:
    response = ask(guarded, method, path, {"X-API-Key": "key of old"})
    assert "expired at 2020-01-01T00:00:00+00:00" in check_refusal(response, 403, "key_refused")


def test_a_key_without_the_scope_is_refused(guarded: TestClient) -> None:
    for (method, path), scope in CLOSED.items():
        response = ask(guarded, method, path, {"X-API-Key": "key of prometheus"})
        if scope == "metrics":
            assert response.status_code == 200
        else:
            assert f"has the scopes metrics. Wanted: {scope}." in check_refusal(response, 403, "key_refused")


def test_a_request_without_a_key_is_refused_before_its_body_is_looked_at(guarded: TestClient) -> None:
    response = guarded.post("/v1/predict", content=b"{", headers={"content-type": "text/plain"})
    check_refusal(response, 401, "key_missing")


def test_health_and_pages_need_no_key(guarded: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/", "/docs", "/docs/swagger-ui.css", "/openapi.json"):
        assert guarded.get(path).status_code == 200


def test_every_route_either_needs_a_key_or_is_known_to_be_open(guarded: TestClient) -> None:
    open_paths = {
        "/",
        "/docs",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/qa",  # have sessions of their own (tests/workbench)
        "/qa/{page:path}",
        *OPEN_PATHS,
    }
    routes = guarded.app.routes  # type: ignore[attr-defined] # what a client calls is typed as any application
    closed = {(method, route.path) for route in routes for method in route.methods if route.path not in open_paths}
    assert closed == set(CLOSED) | CLOSED_ROUTES


def test_a_key_expires_at_its_minute() -> None:
    expires_at = NOW + timedelta(minutes=1)
    known = KeyEntry(name="crm", sha256=hash_key("k"), expires_at=expires_at)
    assert Keys((known,), now=lambda: NOW).check("k", "predict") == known
    with pytest.raises(KeyRefusedError):
        Keys((known,), now=lambda: expires_at).check("k", "predict")


def test_keys_from_any_bytes_of_a_header_are_only_unknown() -> None:
    known = Keys((KeyEntry(name="crm", sha256=hash_key("k")),))
    for key in ("", "\x80\xff", "k ", "K", "\udcff"):
        with pytest.raises(KeyMissingError):
            known.check(key, "predict")


def test_new_keys_differ_and_are_long() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(len(key) > 40 and key.startswith("sbx_") for key in keys)


def test_a_keys_file_may_be_toml(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(
        f'[[keys]]\nname = "crm"\nsha256 = "{hash_key("k")}"\nscopes = ["model"]\nexpires_at = 2099-01-01T00:00:00Z\n'
    )
    assert read_keys(path).check("k", "model").name == "crm"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("keys.json", "{", "the whole file is not valid; wanted: JSON"),
        ("keys.toml", "keys = [", "the whole file is not valid; wanted: TOML"),
        ("keys.json", "\xff", "the whole file is not valid; wanted: JSON"),
        ("keys.json", '{"keys": []}', "keys is not valid"),
        ("keys.json", '{"keys": [{"name": "crm", "sha256": "short"}]}', "keys.0.sha256 is not valid"),
        ("keys.json", json.dumps({"keys": [entry("crm", scopes=["all"])]}), "keys.0.scopes.0 is not valid"),
        ("keys.json", json.dumps({"keys": [entry("crm", key="k")]}), "keys.0.key is not valid"),
        (
            "keys.json",
            json.dumps({"keys": [entry("crm", posts_per_minute=-1)]}),
            "keys.0.posts_per_minute is not valid",
        ),
        ("keys.json", json.dumps({"keys": [entry("crm"), entry("crm")]}), "every name may stand there only once"),
        ("keys.json", json.dumps({"keys": [entry("crm", expires_at="2027-01-01T00:00:00")]}), "keys.0.expires_at"),
    ],
)
def test_a_keys_file_that_is_not_right_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError) as refused:
        read_keys(path)
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)
    assert "python -m serving hash-key" in str(refused.value)


def test_a_keys_file_that_is_not_there_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        create_app(Settings(api_keys_file=tmp_path / "keys.json"), lambda: pytest.fail("nothing is loaded"))


# A keys file that changes


@pytest.fixture
def looking(
    make_predictor: MakePredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, Path]]:
    """A server that looks at its keys file at every request, and that file."""
    monkeypatch.setattr(auth, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "keys.json"
    write_keys(path, entry("crm", scopes=["predict", "metrics"]))
    with TestClient(create_app(Settings(api_keys_file=path, request_timeout_ms=PATIENT_MS), make_predictor)) as client:
        assert service_of(client).settled.wait(WAIT_S)
        yield client, path


def stale(client: TestClient, key: str) -> tuple[float, float, float]:
    """How often the changed file was taken and refused, and whether it is stale, as the metrics say."""
    text = client.get("/metrics", headers={"X-API-Key": key}).text
    taken, refused, is_stale = (
        float(re.findall(rf"^signalbox_keys_file_{name} (\S+)$", text, re.M)[0])
        for name in ('reads_total{outcome="taken"}', 'reads_total{outcome="refused"}', "stale")
    )
    return taken, refused, is_stale


def test_a_key_that_was_withdrawn_stops_and_a_new_one_works_without_a_restart(
    looking: tuple[TestClient, Path],
) -> None:
    client, path = looking
    assert ask(client, "POST", "/v1/predict", {"X-API-Key": "key of crm"}).status_code == 200
    write_keys(path, entry("prometheus", scopes=["metrics"]), entry("bot"))
    check_refusal(ask(client, "POST", "/v1/predict", {"X-API-Key": "key of crm"}), 401, "key_missing")
    assert ask(client, "POST", "/v1/predict", {"X-API-Key": "key of bot"}).status_code == 200
    assert stale(client, "key of prometheus") == (1, 0, 0)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("{")], ids=["gone", "broken"])
def test_a_changed_keys_file_that_cannot_be_used_leaves_the_old_keys_and_is_told(
    looking: tuple[TestClient, Path], spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    client, path = looking
    spoil(path)
    for _ in range(3):
        assert ask(client, "POST", "/v1/predict", {"X-API-Key": "key of crm"}).status_code == 200
    assert stale(client, "key of crm") == (0, 1, 1)
    (refused,) = [each for each in caplog.records if each.getMessage() == "keys_refused"]
    assert "cannot be used" in refused.__dict__["fields"]["problem"]
    write_keys(path, entry("crm", scopes=["predict", "metrics"]))
    assert stale(client, "key of crm") == (1, 1, 0)


def test_a_keys_file_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    write_keys(path, entry("old"))
    ring = KeyRing(path, Metrics(), clock)
    write_keys(path, entry("new"))
    clock.now_s = LOOK_EVERY_S * 0.99
    assert ring.check("key of old", "predict").name == "old"
    clock.now_s = LOOK_EVERY_S
    assert ring.check("key of new", "predict").name == "new"
    with pytest.raises(KeyMissingError):
        ring.check("key of old", "predict")


def test_a_keys_file_behind_a_link_that_is_turned_is_seen(tmp_path: Path) -> None:
    """Kubernetes swaps a mounted secret by turning a link."""
    clock = Clock()
    for name in ("old", "new"):
        write_keys(tmp_path / f"{name}.json", entry(name))
    link, other = tmp_path / "keys.json", tmp_path / "other"
    link.symlink_to("old.json")
    ring = KeyRing(link, Metrics(), clock)
    other.symlink_to("new.json")
    other.replace(link)
    clock.now_s = LOOK_EVERY_S
    assert ring.check("key of new", "predict").name == "new"
