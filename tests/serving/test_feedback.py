"""`POST /v1/feedback` and what becomes of it: labelled posts that `python -m data check` accepts, and rules."""

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from data.post import Author, Post, Reach
from data.rendering import render
from models.policy import Facts
from serving.__main__ import main
from serving.auth import hash_key
from serving.journal.corrections import CorrectedPost, Correction
from serving.journal.restoration import labelled_post
from serving.journal.store import open_store
from serving.settings import Settings, variable
from tests.serving.clients import WAIT_S, Serve
from tests.serving.desks import NOON, made
from tests.serving.journals import address_of

FIRST, SECOND = f"{0:026d}", f"{1:026d}"
GOOD = {"prediction_id": FIRST, "route": "complex", "intent": "delivery_problem", "note": "it was late"}


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """The address of a journal that holds two decisions."""
    with closing(open_store(address_of(tmp_path / "journal.db"))) as store:
        store.write([made(0, "where is my parcel please", NOON, handle="@tobes"), made(1, "@you [link]", NOON)])
    return f"sqlite:///{tmp_path / 'journal.db'}"


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_correction_is_kept_with_who_gave_it(serve: Serve, journal: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    entries = [
        {"name": "crm", "sha256": hash_key("k1"), "scopes": ["feedback"]},
        {"name": "bot", "sha256": hash_key("k2"), "scopes": ["predict"]},
    ]
    keys.write_text(json.dumps({"keys": entries}))
    with serve(journal=journal, api_keys_file=keys) as client:
        assert error_of(client.post("/v1/feedback", json=GOOD)) == (401, "key_missing")
        assert error_of(client.post("/v1/feedback", json=GOOD, headers={"X-API-Key": "k2"})) == (403, "key_refused")
        answer = client.post("/v1/feedback", json=GOOD, headers={"X-API-Key": "k1"})
    assert answer.status_code == 200
    assert (answer.json()["prediction_id"], answer.json()["rule_id"]) == (FIRST, None)
    (line,) = exported(journal, tmp_path)
    assert (line["reader"], line["prediction_id"], line["predicted_route"]) == ("crm", FIRST, "simple")


def test_a_correction_can_be_a_rule_from_then_on(serve: Serve, journal: str) -> None:
    post = {"text": "where is MY parcel, please?"}
    with serve(journal=journal) as client:
        wait_for_rules(client)
        assert client.post("/v1/predict", json=post).json()["decision"]["action"] == "auto_answer"
        answer = client.post("/v1/feedback", json={**GOOD, "must_not_answer": "exact"}).json()
        decision = client.post("/v1/predict", json=post).json()["decision"]
        assert decision["action"] == "agent"
        assert decision["reasons"][0] == {"code": "must_not_answer", "detail": f"rule {answer['rule_id']}"}
        assert client.get("/readyz").json()["rules"] == {"state": "ok", "rules": 1}
        assert 'signalbox_withheld_total{why="must_not_answer"} 1.0' in client.get("/metrics").text


def wait_for_rules(client: TestClient) -> None:
    """Returns once the server has read its rules, which it does at once and on a thread of its own."""
    until = time.monotonic() + WAIT_S
    while client.get("/readyz").json()["rules"]["state"] != "ok":
        assert time.monotonic() < until


def test_what_cannot_be_a_rule_is_no_correction_either(serve: Serve, journal: str, tmp_path: Path) -> None:
    with serve(journal=journal) as client:
        answer = client.post("/v1/feedback", json={**GOOD, "prediction_id": SECOND, "must_not_answer": "near"})
    assert error_of(answer) == (422, "invalid_post")
    assert answer.json()["error"]["details"][0]["code"] == "no_words"
    assert exported(journal, tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"prediction_id": "7" * 26}, 404, "prediction_unknown"),
        ({"prediction_id": "seven"}, 422, "invalid_post"),
        ({"route": "urgent"}, 422, "invalid_post"),
        ({"intent": "weather"}, 422, "invalid_post"),
        ({"must_not_answer": "always"}, 422, "invalid_post"),
        ({"text": "the post"}, 422, "invalid_post"),
        ({"note": "x" * 2_001}, 422, "invalid_post"),
    ],
)
def test_a_correction_that_is_none_is_refused(
    serve: Serve, journal: str, changed: dict[str, str], status: int, code: str
) -> None:
    with serve(journal=journal) as client:
        assert error_of(client.post("/v1/feedback", json={**GOOD, **changed})) == (status, code)


def test_without_a_journal_there_is_nothing_to_correct(serve: Serve) -> None:
    with serve(journal="off") as client:
        answer = client.post("/v1/feedback", json=GOOD)
        assert error_of(answer) == (503, "journal_closed")
        assert "SIGNALBOX_JOURNAL is `off`" in answer.json()["error"]["message"]


def test_a_journal_that_cannot_be_written_to_is_said_so(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_text("the diary of a traveller " * 500)
    with serve(journal=f"sqlite:///{file}") as client:
        answer = client.post("/v1/feedback", json=GOOD)
        assert error_of(answer) == (503, "journal_closed")
        assert answer.headers["retry-after"] == "5"
        assert client.get("/readyz").json()["rules"]["state"] == "unread"


# The export


def exported(journal: str, directory: Path, *more: str) -> list[dict[str, Any]]:
    file = directory / "corrections.jsonl"
    assert main(["export-corrections", "--journal", journal, "--out", str(file), *more]) == 0
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        if field != "journal":
            monkeypatch.delenv(variable(field), raising=False)


def test_what_is_exported_is_accepted_by_the_check_of_labelled_files(
    serve: Serve, journal: str, tmp_path: Path
) -> None:
    with serve(journal=journal) as client:
        assert client.post("/v1/feedback", json=GOOD).status_code == 200
        again = {**GOOD, "route": "sensitive", "intent": "safety_health"}
        assert client.post("/v1/feedback", json=again).status_code == 200
    (line,) = exported(journal, tmp_path)
    assert (line["route"], line["intent"], line["text"]) == ("sensitive", "safety_health", "where is my parcel please")
    pytest.importorskip("tqdm", reason="the environment that proves serving light checks no labelled files")
    command = [sys.executable, "-m", "data", "check", str(tmp_path / "corrections.jsonl"), "--least", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_what_was_corrected_since_is_exported_where_that_is_asked(
    serve: Serve, journal: str, tmp_path: Path
) -> None:
    with serve(journal=journal) as client:
        client.post("/v1/feedback", json=GOOD)
    assert len(exported(journal, tmp_path, "--since", "2026-01-01T00:00:00Z")) == 1
    assert exported(journal, tmp_path, "--since", "2100-01-01T00:00:00Z") == []


def test_a_time_without_a_zone_is_misuse(journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export-corrections", "--journal", journal, "--out", str(tmp_path / "a"), "--since", "2026-01-01"]
    assert main(arguments) == 2
    assert "a time with its zone" in capsys.readouterr().err


POSTS = st.builds(
    Post,
    text=st.sampled_from(
        [
            "@ofcom my parcel [link] https://a.b/c",
            "call me on 07911 123456 \U0001f621 #NotHappy @bbcnews",
            "where is my parcel?",
        ]
    )
    | st.text(min_size=1, max_size=80),
    platform=st.sampled_from(["x", "facebook", "other"]),
    author=st.none()
    | st.builds(
        Author,
        followers=st.none() | st.integers(0, 200_000),
        verified=st.none() | st.booleans(),
        bio=st.none() | st.sampled_from(["dad of 3. reposts under 10. reply to: me", "press at @bbcnews", "x" * 300]),
    ),
    reach=st.none() | st.builds(Reach, reposts=st.none() | st.integers(0, 1_000)),
    in_reply_to=st.none() | st.sampled_from(["How can we help?", "DM us at @ofcom. Thanks"]) | st.text(max_size=30),
)


@given(post=POSTS)
def test_a_model_reads_an_exported_post_as_it_read_the_first_or_it_is_left_out(post: Post) -> None:
    before = render(post)
    facts = Facts(platform=post.platform, lang="en", followers=post.followers, reposts=post.reposts)
    correction = Correction(FIRST, "ann", "complex", "how_to")
    kept = CorrectedPost(correction, before.text, before.context, facts, "simple", "praise", "m", "p", "1")
    found = labelled_post(kept, lang="en")
    if found is not None:
        again = render(found)
        assert (again.text, again.context.replace(" .", ".")) == (before.text, before.context.replace(" .", "."))


@pytest.mark.parametrize(
    "post",
    [
        Post(text="@ofcom where is my parcel? https://a.b/c", platform="x"),
        Post(text="@bbcnews call 07911 123456", author=Author(followers=60_000, verified=True, bio="news at @skynews")),
        Post(text="thanks", reach=Reach(reposts=3), in_reply_to="How can we help?", author=Author(verified=False)),
    ],
)
def test_a_usual_post_is_exported(post: Post) -> None:
    before = render(post)
    facts = Facts(platform=post.platform, lang=None, followers=post.followers, reposts=post.reposts)
    correction = Correction(FIRST, "ann", "complex", "how_to")
    kept = CorrectedPost(correction, before.text, before.context, facts, "simple", "praise", "m", "p", "1")
    found = labelled_post(kept, lang="en")
    assert found is not None
    assert (render(found).text, render(found).context) == (before.text, before.context)
