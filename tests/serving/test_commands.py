import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, get_args

import pytest
from httpx2 import Client, ConnectError

from models.policy import Policy, Thresholds
from serving.__main__ import main
from serving.auth import Keys, KeysFile, Scope
from serving.check import failures
from serving.commands.keys import SCOPES
from serving.errors import KeyRefusedError
from serving.settings import Settings, variable
from tests.models.tiny_bundle import GOLDEN_POSTS, write_tiny_bundle
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor

VERBS = ("run", "check", "replay", "prune", "export-corrections", "rules", "brake", "hash-key", "openapi")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    monkeypatch.setenv(variable("journal"), "off")


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle around the tiny classifier."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").directory


def last_json(output: str) -> Any:
    return json.loads(output.strip().splitlines()[-1])


# help and misuse


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_every_command_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "usage: python -m serving" in said
    assert "example" in said


@pytest.mark.parametrize("arguments", [["fly"], ["run", "--prot", "1"], ["hash-key"], ["run", "--port", "http"]])
def test_misuse_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["run"], ["--port", "0"], ["check"]])
def test_a_setting_that_is_not_known_is_misuse(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNALBOX_PROT", "1")
    assert main(arguments) == 2
    assert "Did you mean SIGNALBOX_PORT?" in capsys.readouterr().err


def test_another_host_than_loopback_needs_a_keys_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--host", "0.0.0.0"]) == 2
    assert "SIGNALBOX_API_KEYS_FILE" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["uvicorn", "pydantic_settings"])
def test_without_the_serve_group_the_command_that_installs_it_is_said(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from serving.__main__ import main; sys.exit(main(['run']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"`{missing}`" in done.stderr
    assert "pip install --group serve -c constraints.txt" in done.stderr
    assert "Traceback" not in done.stderr


# run


def test_a_bundle_is_served_and_stopped_by_one_signal(tiny_bundle: Path) -> None:
    """The whole program as an operator runs it: verify, load, announce, answer, stop with 0."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "serving", "--port", "0", "--bundle", str(tiny_bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SIGNALBOX_ACCESS_LOG": "true", "SIGNALBOX_REQUEST_TIMEOUT_MS": str(PATIENT_MS)},
    )
    try:
        assert process.stdout is not None
        announced = json.loads(process.stdout.readline())
        assert announced["versions"]["model"] == "2026.11.22+tiny00"
        with Client(base_url=announced["address"], timeout=WAIT_S) as client:
            answer = client.post("/v1/predict", json={"text": "where is my parcel"}).json()
            assert (answer["route"]["label"], answer["intent"]["label"]) == ("simple", "order_status")
            files = client.get("/v1/model").json()["files"]
            assert set(files) == {path.name for path in tiny_bundle.iterdir()} - {"manifest.json"}
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0
            with pytest.raises(ConnectError):
                client.get("/healthz")
        said = process.communicate()[1]
        assert f"Signalbox answers at {announced['address']}" in said
        assert "Stopped: all that was accepted is answered." in said
        events = [json.loads(line)["event"] for line in said.splitlines() if line.startswith("{")]
        assert events == ["model_loaded", "request", "request"]
    finally:
        process.kill()
        process.communicate()


def test_a_link_that_is_turned_is_followed_at_sighup_and_the_process_still_stops_well(tmp_path: Path) -> None:
    for name in ("old", "new"):
        write_tiny_bundle(tmp_path / name, version=f"2026.11.22+{name}")
    link = tmp_path / "current"
    link.symlink_to("old")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "serving", "--port", "0", "--bundle", str(link)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        announced = json.loads(process.stdout.readline())
        assert announced["versions"]["model"] == "2026.11.22+old"
        link.unlink()
        link.symlink_to("nowhere")
        process.send_signal(signal.SIGHUP)
        assert heard_event(process.stderr, "reload_refused")["by"] == "SIGHUP"
        link.unlink()
        link.symlink_to("new")
        process.send_signal(signal.SIGHUP)
        changed = heard_event(process.stderr, "lineup_changed")
        assert (changed["change"], changed["by"]) == ("reload", "SIGHUP")
        with Client(base_url=announced["address"], timeout=WAIT_S) as client:
            answer = client.post("/v1/predict", json={"text": "where is my parcel"}).json()
            assert answer["versions"]["model"] == "2026.11.22+new"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.communicate()


def heard_event(log: IO[str], event: str) -> Any:
    """The next line of the log that tells of that event."""
    for line in log:
        if line.startswith("{") and json.loads(line)["event"] == event:
            return json.loads(line)
    pytest.fail(f"The process ended before {event}.")


def test_a_bundle_that_is_not_there_ends_with_one_and_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving", "run", "--port", "0", "--bundle", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"No bundle in {tmp_path}: there is no manifest.json." in done.stderr
    assert "Traceback" not in done.stderr


# check


def test_a_bundle_that_answers_as_it_must_is_fit(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--bundle", str(tiny_bundle)]) == 0
    answer = last_json(capsys.readouterr().out)
    assert answer["fit"] is True
    assert answer["golden_posts"] == len(GOLDEN_POSTS)
    assert answer["versions"]["model"] == "2026.11.22+tiny00"


def test_a_bundle_of_the_time_before_golden_posts_is_fit_and_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "old", golden=())
    assert main(["check", "--bundle", str(tmp_path / "old")]) == 0
    said = capsys.readouterr()
    assert last_json(said.out)["golden_posts"] == 0
    assert "no golden posts" in said.err


def test_a_bundle_is_checked_where_the_environment_is_that_of_a_public_server(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALBOX_HOST", "0.0.0.0")
    assert main(["check", "--bundle", str(tiny_bundle)]) == 0


def test_a_bundle_with_a_changed_file_is_not_fit(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in tiny_bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "policy.json").open("a") as file:
        file.write(" ")
    assert main(["check", "--bundle", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert last_json(said.out)["fit"] is False
    assert f"Bundle file {tmp_path / 'policy.json'} was changed" in said.err


def test_a_policy_that_would_answer_an_injury_is_not_fit(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reckless = Thresholds(simple=0.0, intent=0.0, sensitive=1.0, influencer=1.0, answer_nothing=False)
    path = tmp_path / "policy.json"
    path.write_text(Policy(version="reckless", thresholds=reckless).model_dump_json())
    monkeypatch.setenv("SIGNALBOX_POLICY", str(path))
    assert main(["check", "--bundle", str(tiny_bundle)]) == 1
    (problem,) = last_json(capsys.readouterr().out)["problems"]
    assert problem.startswith("an injury: wanted a person; got ")


def test_a_policy_whose_line_no_account_reaches_is_refused_with_its_place(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"version": "high", "guards": {"followers": 20000000000}}')
    monkeypatch.setenv("SIGNALBOX_POLICY", str(path))
    assert main(["check", "--bundle", str(tiny_bundle)]) == 2
    assert f"The policy file {path} cannot be used: guards.followers is 20000000000; " in capsys.readouterr().err


def test_the_fake_predictor_is_fit_too(make_predictor: MakePredictor) -> None:
    assert failures(make_predictor()) == []


# hash-key


def test_a_new_key_opens_with_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["hash-key", "--name", "crm", "--scope", "predict", "--scope", "model"]
    assert main([*arguments, "--expires-at", "2099-01-01T00:00:00Z", "--posts-per-minute", "600"]) == 0
    answer = last_json(capsys.readouterr().out)
    keys = Keys(KeysFile.model_validate({"keys": [answer["entry"]]}).keys)
    opened = keys.check(answer["key"], "model")
    assert (opened.name, opened.posts_per_minute) == ("crm", 600)
    assert answer["key"] not in json.dumps(answer["entry"])


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_may_be_made_for_every_scope(scope: Scope, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash-key", "--name", "crm", "--scope", scope]) == 0
    answer = last_json(capsys.readouterr().out)
    keys = Keys(KeysFile.model_validate({"keys": [answer["entry"]]}).keys)
    for other in get_args(Scope):
        if other == scope:
            assert keys.check(answer["key"], other).scopes == (scope,)
        else:
            with pytest.raises(KeyRefusedError):
                keys.check(answer["key"], other)


@pytest.mark.parametrize(
    "arguments",
    [["--name", ""], ["--name", "crm", "--expires-at", "soon"], ["--name", "crm", "--posts-per-minute", "-1"]],
)
def test_a_key_that_could_not_be_used_is_not_made(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash-key", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "2027-01-01T00:00:00Z" in said.err


def test_the_scopes_of_the_command_are_those_of_the_keys_file() -> None:
    assert get_args(Scope) == SCOPES


# openapi


def test_a_description_that_is_out_of_date_is_found_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "openapi.json"
    assert main(["openapi", "--check", "--out", str(out)]) == 1
    assert main(["openapi", "--out", str(out)]) == 0
    assert main(["openapi", "--check", "--out", str(out)]) == 0
    assert last_json(capsys.readouterr().out) == {"file": str(out), "was_current": True}


def test_the_description_that_is_committed_is_up_to_date() -> None:
    """Run `python -m serving openapi` when this fails."""
    assert main(["openapi", "--check"]) == 0
