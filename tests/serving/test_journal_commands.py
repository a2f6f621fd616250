"""The commands over a journal as people type them, on one that a server wrote."""

import json
import os
import pwd
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.bundle import MODEL_FILE, load_bundle
from models.policy import Thresholds
from serving.__main__ import main
from serving.app import create_app
from serving.journal.brake import standing_brake
from serving.journal.database import Database
from serving.journal.faults import StoreDownError
from serving.journal.rules import RuleWish, add_rule, standing_rules
from serving.loading import load_predictor
from serving.settings import Settings
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import MEANING
from tests.serving.clients import PATIENT_MS, WAIT_S, read_rules, service_of
from tests.serving.desks import put_in_force
from tests.serving.journals import address_of, kept

POSTS = [
    {"id": "1059", "text": "where is my parcel?", "posted_at": "2026-11-22T09:00:00+02:00"},
    {"text": "thanks", "author": {"handle": "@tobes", "followers": 60_000, "bio": "leeds | 07911 123456"}},
    {"text": "injured, call me on 07911 123456", "platform": "x", "in_reply_to": "how can we help, @tobes?"},
    {"id": "\0", "text": "where is my parcel again " * 60, "posted_at": "2026-11-22T09:00:00.123456Z"},
]


@dataclass(frozen=True, slots=True)
class Served:
    """What a server answered, and where it kept it."""

    bundle: Path
    file: Path
    answers: list[tuple[str, bytes]]

    def replay(self, prediction_id: str, *more: str) -> int:
        return main(["replay", prediction_id, *self.options, "--bundle", str(self.bundle), *more])

    @property
    def options(self) -> list[str]:
        return ["--journal", f"sqlite:///{self.file}"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").directory


@pytest.fixture(scope="module")
def served_once(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    file = tmp_path_factory.mktemp("journal") / "journal.db"
    settings = Settings(bundle=bundle, journal=f"sqlite:///{file}", request_timeout_ms=PATIENT_MS)
    with TestClient(create_app(settings, lambda: load_predictor(settings))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        answers = [client.post("/v1/predict", json=post) for post in POSTS]
    return Served(bundle, file, [(each.json()["prediction_id"], each.content) for each in answers])


@pytest.fixture
def served(served_once: Served, tmp_path: Path) -> Served:
    """A copy of the journal for each test; the server has stopped, so that all of it is in the one file."""
    return replace(served_once, file=Path(shutil.copy(served_once.file, tmp_path)))


def change(served: Served, assignment: str) -> None:
    with closing(sqlite3.connect(served.file)) as connection, connection:
        connection.execute(f"UPDATE decisions SET {assignment}")


def test_a_decision_by_a_policy_that_was_in_force_then_is_made_again_by_that_policy(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, loaded = tmp_path / "journal.db", load_bundle(bundle)
    shy = loaded.policy.model_copy(update={"version": "shy", "thresholds": Thresholds(simple=1.0)})
    with closing(Database(address_of(file))) as database:
        put_in_force(database, shy, base=loaded.policy, model=loaded.manifest.model_version)
    settings = Settings(bundle=bundle, journal=f"sqlite:///{file}", request_timeout_ms=PATIENT_MS)
    with TestClient(create_app(settings, lambda: load_predictor(settings))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        read_rules(client)
        answer = client.post("/v1/predict", json=POSTS[0])
    assert answer.json()["versions"]["policy"] == "shy"
    assert Served(bundle, file, []).replay(answer.json()["prediction_id"]) == 0
    assert capsys.readouterr().out.encode() == answer.content + b"\n"


def test_a_decision_that_is_made_again_gives_the_bytes_that_were_answered(
    served: Served, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for prediction_id, content in served.answers:
        assert served.replay(prediction_id) == 0
        assert capfdbinary.readouterr().out == content + b"\n"


def test_a_decision_of_a_batch_is_made_again_too(
    served: Served, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(bundle=bundle, journal=f"sqlite:///{served.file}", request_timeout_ms=PATIENT_MS)
    with TestClient(create_app(settings, lambda: load_predictor(settings))) as client:
        assert service_of(client).settled.wait(WAIT_S)
        batch = client.post("/v1/predict/batch", json={"posts": POSTS})
    for each in batch.json()["results"]:
        assert served.replay(each["prediction_id"]) == 0
        said = capsys.readouterr().out.removesuffix("\n")
        assert json.loads(said) == each
        assert said in batch.text


def test_a_row_that_was_tampered_with_is_told_by_field(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    change(served, "text = 'my subscribers', action = 'agent'")
    assert served.replay(served.answers[0][0]) == 1
    said = capsys.readouterr()
    answer = json.loads(said.out.splitlines()[-1])
    assert (answer["prediction_id"], answer["same"]) == (served.answers[0][0], False)
    assert {"route", "action", "answer.decision.action", "routes.influencer"} <= set(answer["differing"])
    assert "action: kept 'agent', now 'specialist'" in said.err
    assert "my subscribers" not in said.out + said.err


def test_a_prediction_that_is_not_there_is_misuse(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert served.replay("01JD2K7ZC5T8VXN4R3Q9WYHMBA") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "There is no prediction 01JD2K7ZC5T8VXN4R3Q9WYHMBA in the journal. Wanted: the `prediction_id` of an answer "
        "that was written and not yet pruned. Correct it, or name another journal with --journal.\n"
    )


def test_another_bundle_is_refused_with_both_names(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tiny_bundle(tmp_path / "other", meaning={**MEANING, "parcel": ("complex", "delivery_problem")})
    assert served.replay(served.answers[0][0], "--bundle", str(other.directory)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    for each in (load_bundle(served.bundle), other):
        assert each.manifest.files[MODEL_FILE] in said.err


def test_a_bundle_that_is_damaged_is_misuse(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert served.replay(served.answers[0][0], "--bundle", str(tmp_path / "nowhere")) == 2
    assert "No bundle in" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["replay", "01JD2K7ZC5T8VXN4R3Q9WYHMBA"], ["prune", "--days", "30"]])
def test_a_journal_that_is_not_there_is_not_made(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "var" / "journal.db"
    assert main([*command, "--journal", f"sqlite:///{file}"]) == 2
    assert capsys.readouterr().err == (
        f"The journal cannot be used: SQLite file {file} answers FileNotFoundError. Wanted: a database that a server "
        "of this release wrote to and that can be reached. Name it with --journal or SIGNALBOX_JOURNAL.\n"
    )
    assert not file.parent.exists()


def test_without_a_journal_there_is_nothing_to_make_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "01JD2K7ZC5T8VXN4R3Q9WYHMBA", "--journal", "off"]) == 2
    assert capsys.readouterr().err == (
        "There is no journal: SIGNALBOX_JOURNAL is `off`. Wanted: the database that the server wrote to. "
        "Name it with --journal.\n"
    )


def test_pruning_by_hand_deletes_what_is_older_and_says_how_much(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    old = f"{datetime.now(UTC) - timedelta(days=31):%Y-%m-%d %H:%M:%S.%f}"
    change(served, f"received_at = '{old}' WHERE prediction_id != '{served.answers[0][0]}'")
    assert main(["prune", "--days", "32", *served.options]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": 0, "days": 32}
    assert main(["prune", "--days", "30", *served.options]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": 3, "days": 30}
    assert kept(served.file) == [served.answers[0][0]]


def test_pruning_with_zero_days_deletes_nothing(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    change(served, "received_at = '1990-01-01 00:00:00.000000'")
    assert main(["prune", "--days", "0", *served.options]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": 0, "days": 0}
    assert len(kept(served.file)) == len(POSTS)


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user of the process has a number and no name, as in the image that ships."""

    def find(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in {"LOGNAME", "USER", "LNAME", "USERNAME"} & set(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", find)


@pytest.mark.usefixtures("nameless")
def test_who_has_a_number_and_no_name_holds_the_brake_lets_it_go_and_removes_rules(served: Served) -> None:
    with closing(Database(address_of(served.file))) as database:
        rule = database.write(add_rule, RuleWish(served.answers[0][0], "exact", "Ada"))
        assert rule
        assert main(["brake", "--hold", "wrong prices", *served.options]) == 0
        assert database.read(standing_brake).engaged
        assert main(["brake", "--release", "a campaign of ours", *served.options]) == 0
        assert not database.read(standing_brake).engaged
        assert main(["rules", "--remove", rule.id, *served.options]) == 0
        assert database.read(standing_rules) == ()


@pytest.mark.parametrize("step", ["--hold", "--release"])
def test_a_database_that_does_not_take_what_is_done_by_hand_is_misuse_and_says_why(
    step: str, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_given: object, **_named: object) -> None:
        raise StoreDownError("SQLITE_BUSY")

    monkeypatch.setattr("serving.journal.brake.move_brake", refuse)
    assert main(["brake", step, "wrong prices", *served.options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"The journal cannot be used: SQLite file {served.file} answers SQLITE_BUSY. Wanted: ")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://bob:hunter2@db/journal", "is no address of a database that is known here"),
        ("postgresql://bob:hunter2@db", "names no database"),
    ],
)
def test_a_server_does_not_start_with_an_address_that_is_none_and_does_not_show_it(
    address: str, said: str, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNALBOX_JOURNAL", address)
    assert main(["run", "--port", "0", "--bundle", str(bundle)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "hunter2" not in shown.out + shown.err


def test_a_server_does_not_start_without_the_driver_of_its_journal(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("SIGNALBOX_JOURNAL", "postgresql://bob:hunter2@db/journal")
    assert main(["run", "--port", "0", "--bundle", str(bundle)]) == 2
    assert "pip install --group postgres -c constraints.txt" in capsys.readouterr().err
