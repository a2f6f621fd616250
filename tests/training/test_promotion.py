"""Promotion: what is refused, what is kept, and that a kill at any moment leaves a whole champion and ledger."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from data.dependencies import MissingGroupError
from data.sources import write_labelled
from models.bundle import BundleError, load_bundle
from tests.evaluation.populations import labelled_posts
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import MEANING
from training.__main__ import main
from training.errors import LedgerError, PromotionError, RefusedError, RegistryError, StoreError
from training.promotion.installation import Places, holding, manifest_of
from training.promotion.ledger import head_of, read_ledger
from training.promotion.promotion import Evidence, Person, promote, roll_back
from training.tracking import registry

ADA = Person("Ada", "more posts")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    for name in ("one", "two", "three"):
        write_tiny_bundle(directory / name, version=name, meaning=MEANING, golden=())
    return directory


@pytest.fixture
def places(made: Path, tmp_path: Path) -> Places:
    write_tiny_bundle(tmp_path / "models" / "default", version="one", golden=())
    return Places(tmp_path / "models" / "default")


def _evidence(places: Places, challenger: Path, *reasons: str) -> Evidence:
    hashes = [manifest_of(each) or "" for each in (places.champion, challenger)]
    return Evidence("a" * 64, hashes[0], hashes[1], "b" * 64, {}, reasons, not reasons)


def _version(places: Places) -> str:
    return load_bundle(places.champion).manifest.model_version


def test_a_promoted_bundle_is_champion_and_the_ledger_says_who_when_what_and_why(places: Places, made: Path) -> None:
    line = promote(places, made / "two", _evidence(places, made / "two"), ADA)
    assert _version(places) == "two"
    assert load_bundle(places.earlier(line.from_manifest_sha256)).manifest.model_version == "one"
    assert read_ledger(places.ledger) == (line,)
    said = (line.by, line.reason, line.from_version, line.to_version, line.action, line.gate_passed, line.override)
    assert said == ("Ada", "more posts", "one", "two", "promote", True, None)
    assert (line.report_sha256, line.posts_fingerprint, line.data_fingerprint) == ("a" * 64, "b" * 64, "0" * 64)
    left = {path.name for path in places.champion.parent.iterdir()}
    assert left == {"default", "ledger.jsonl", ".default-earlier", ".ledger.jsonl.lock"}


def test_a_gate_that_is_not_passed_refuses_with_the_reasons_and_changes_nothing(places: Places, made: Path) -> None:
    with pytest.raises(RefusedError) as error:
        promote(places, made / "two", _evidence(places, made / "two", "leak: 3 of 9", "latency: slow"), ADA)
    assert error.value.reasons == ("leak: 3 of 9", "latency: slow")
    assert "  leak: 3 of 9\n  latency: slow\nMend the challenger" in str(error.value)
    assert _version(places) == "one"
    assert not places.ledger.exists()


def test_a_person_may_answer_for_it_and_that_is_written_down(places: Places, made: Path) -> None:
    person = Person("Ada", "more posts", override="the latency is measured on a busy machine")
    line = promote(places, made / "two", _evidence(places, made / "two", "latency: slow"), person)
    assert (line.gate_passed, line.override) == (False, person.override)
    passed = promote(places, made / "three", _evidence(places, made / "three"), person)
    assert (passed.gate_passed, passed.override) == (True, None)


def test_rollbacks_go_back_one_promotion_at_a_time_and_are_lines_themselves(places: Places, made: Path) -> None:
    for name in ("two", "three"):
        promote(places, made / name, _evidence(places, made / name), ADA)
    for wanted in ("two", "one"):
        roll_back(places, Person("Bo", "wrong answers"))
        assert _version(places) == wanted
    with pytest.raises(PromotionError, match=r"Nothing to roll back: .* no promotion that still stands"):
        roll_back(places, ADA)
    lines = read_ledger(places.ledger)
    assert [(line.action, line.from_version, line.to_version) for line in lines] == [
        ("promote", "one", "two"), ("promote", "two", "three"),
        ("rollback", "three", "two"), ("rollback", "two", "one"),
    ]  # fmt: skip
    assert [line.report_sha256 for line in lines[2:]] == [None, None]


def test_a_rollback_whose_bundle_was_deleted_or_changed_is_refused(places: Places, made: Path) -> None:
    line = promote(places, made / "two", _evidence(places, made / "two"), ADA)
    (places.earlier(line.from_manifest_sha256) / "manifest.json").write_text("{}")
    with pytest.raises(PromotionError, match="Not rolled back: the bundle one is not in"):
        roll_back(places, ADA)
    assert _version(places) == "two"


def test_evidence_of_other_bundles_promotes_nothing(places: Places, made: Path) -> None:
    with pytest.raises(PromotionError, match="the gate compared the manifests"):
        promote(places, made / "three", _evidence(places, made / "two"), ADA)
    with pytest.raises(PromotionError, match="is the champion already"):
        promote(places, places.champion, _evidence(places, places.champion), ADA)
    assert _version(places) == "one"


def test_two_at_a_time_are_refused(places: Places, made: Path) -> None:
    with holding(places), pytest.raises(PromotionError, match="is being changed by another process"):
        promote(places, made / "two", _evidence(places, made / "two"), ADA)
    assert _version(places) == "one"


def test_a_challenger_that_cannot_be_read_changes_nothing(places: Places, made: Path, tmp_path: Path) -> None:
    broken = copytree(made / "two", tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="was changed"):
        promote(places, broken, _evidence(places, broken), ADA)
    assert _version(places) == "one"


@pytest.mark.parametrize("how", ["change", "drop", "swap", "cut"])
def test_a_ledger_that_was_tampered_with_is_seen(places: Places, made: Path, how: str) -> None:
    for name in ("two", "three"):
        promote(places, made / name, _evidence(places, made / name), ADA)
    head = head_of(places.ledger)
    first, second = places.ledger.read_text().splitlines(keepends=True)
    changed = {"change": first.replace("Ada", "Eve") + second, "drop": second, "swap": second + first, "cut": first}[
        how
    ]
    places.ledger.write_text(changed)
    if how == "cut":  # a chain that ends too early is whole: only its old head tells
        assert len(read_ledger(places.ledger)) == 1
    with pytest.raises(LedgerError, match="was tampered with"):
        read_ledger(places.ledger, head)


def test_a_line_that_is_no_line_is_named(places: Places, made: Path) -> None:
    promote(places, made / "two", _evidence(places, made / "two"), ADA)
    places.ledger.write_text(places.ledger.read_text() + '{"by": 1}\n')
    with pytest.raises(LedgerError, match=r"ledger\.jsonl, line 2, is not valid"):
        read_ledger(places.ledger)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from models.bundle import BundleError, load_bundle
from training.promotion import installation
from training.promotion.installation import Places, exchange_at_once, holding, manifest_of, recover
from training.promotion.ledger import read_ledger
from training.promotion.promotion import Evidence, Person, promote

root, made, at_once = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "at once"
WATCHED = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.copyfile", "open", "step"}

def attempt(places, kill_at):
    happened = 0
    def watch(event, arguments):
        nonlocal happened
        if event not in WATCHED or (event == "open" and arguments[1] in ("r", "rb")):
            return
        happened += 1
        if happened == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    if not at_once:
        install = installation.install
        def three_renames(places, bundle, line):
            install(places, bundle, line, exchange=lambda one, other: False)
        import training.promotion.promotion as promotion
        promotion.install = three_renames
    else:
        def seen(one, other):
            sys.audit("step")
            done = exchange_at_once(one, other)
            sys.audit("step")
            return done
        install = installation.install
        import training.promotion.promotion as promotion
        promotion.install = lambda places, bundle, line: install(places, bundle, line, exchange=seen)
    hashes = [manifest_of(each) for each in (places.champion, made / "two")]
    promote(places, made / "two", Evidence("a" * 64, *hashes, "b" * 64, {}, (), True), Person("Ada", "why"))
    os._exit(0)

killed = 0
for kill_at in range(1, 500):
    places = Places(root / str(kill_at) / "default")
    shutil.copytree(made / "one", places.champion)
    child = os.fork()
    if not child:
        attempt(places, kill_at)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, status
        break
    killed += 1
    if at_once:  # without a gap: nobody has to recover anything first
        assert load_bundle(places.champion).manifest.model_version in ("one", "two")
    with holding(places):
        recover(places)
        recover(places)
    version = load_bundle(places.champion).manifest.model_version
    lines = read_ledger(places.ledger)
    assert (version, len(lines)) in (("one", 0), ("two", 1)), (kill_at, version, lines)
    left = {path.name for path in places.champion.parent.iterdir()} - {"default", "ledger.jsonl", ".default-earlier"}
    assert left == {".ledger.jsonl.lock"}, (kill_at, left)
    if version == "two":
        assert load_bundle(places.earlier(lines[0].from_manifest_sha256)).manifest.model_version == "one"
    shutil.rmtree(places.champion.parent)
else:
    raise AssertionError("it never came to an end")
print(killed)
"""


@pytest.mark.parametrize("way", ["at once", "by renames"])
def test_a_kill_at_any_step_leaves_a_complete_champion_and_a_whole_ledger(made: Path, tmp_path: Path, way: str) -> None:
    """Every rename, removal, copy and write of a promotion is where a child is killed, one after another."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(made), way],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def _main(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object], str]:
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, json.loads(output.out) if output.out else {}, output.err


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    write_labelled(tmp_path / "posts.jsonl", labelled_posts(4, 0))
    return tmp_path / "posts.jsonl"


def test_the_commands_refuse_override_roll_back_and_show_the_ledger(
    places: Places, made: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (made / "two", posts, "--champion", places.champion, "--reason", "a try", "--by", "Ada")
    code, content, err = _main(capsys, "promote", *given, "--out", tmp_path / "report")
    assert code == 1, "so few posts prove nothing"
    assert content["refused"]
    assert "Not promoted, the gate is not passed:" in err
    report = tmp_path / "report" / "comparison.json"
    code, content, err = _main(capsys, "promote", *given, "--report", report, "--override", "it is a drill")
    assert code == 0
    assert "OVERRIDDEN: the gate was not passed, and Ada promotes all the same: it is a drill" in err
    assert _version(places) == "two"
    code, _, err = _main(capsys, "promote", *given, "--out", tmp_path / "again")
    assert (code, (tmp_path / "again").exists()) == (2, False), "the gate is not asked about the champion itself"
    assert "is the champion already" in err
    code, content, _ = _main(capsys, "rollback", "--champion", places.champion, "--by", "Bo")
    assert (code, _version(places)) == (0, "one")
    code, shown, err = _main(capsys, "ledger", "--champion", places.champion, "--head", content["head"])
    assert (code, shown["in_step"]) == (0, True)
    assert "one -> two by Ada: a try  OVERRIDDEN: it is a drill" in err
    assert "2 lines, the chain is whole" in err


def test_a_report_of_other_posts_is_refused(
    places: Places, made: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "comparison.json"
    content = {
        "champion": {"manifest_sha256": manifest_of(places.champion)},
        "challenger": {"manifest_sha256": manifest_of(made / "two")},
        "posts_fingerprint": "0" * 64, "gate": {}, "reasons": [], "passed": True,
    }  # fmt: skip
    report.write_text(json.dumps(content))
    given = ("promote", made / "two", posts, "--champion", places.champion, "--reason", "x", "--by", "Ada")
    code, _, err = _main(capsys, *given, "--report", report)
    assert code == 2
    assert "The report is not of this posts" in err or "The report is not of these posts" in err
    report.write_text("[]")
    code, _, err = _main(capsys, *given, "--report", report)
    assert code == 2
    assert f"The report {report} cannot be used" in err
    assert _version(places) == "one"


def test_a_champion_that_somebody_replaced_is_told(
    places: Places, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(places, made / "two", _evidence(places, made / "two"), ADA)
    write_tiny_bundle(places.champion, version="three", golden=())
    code, content, err = _main(capsys, "ledger", "--champion", places.champion)
    assert (code, content["in_step"]) == (0, False)
    assert "somebody replaced it" in err


@pytest.mark.parametrize("error", [RegistryError, StoreError, MissingGroupError])
def test_a_rollback_that_cannot_be_registered_is_no_failure(
    places: Places,
    made: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def refuse(champion: Path, alias: str) -> None:
        raise error(f"{champion} is no {alias} here.")

    promote(places, made / "two", _evidence(places, made / "two"), ADA)
    monkeypatch.setattr(registry, "register", refuse)
    given = ("--champion", places.champion, "--reason", "x", "--by", "Ada", "--track")
    code, content, err = _main(capsys, "rollback", *given)
    assert (code, content["registered"]) == (0, None)
    assert "What was decided stands; register it later: " in err
    assert _version(places) == "one"


@pytest.mark.parametrize("verb", ["promote", "rollback", "ledger"])
def test_a_missing_champion_is_answered_with_the_remedy(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    more = {"promote": [made / "two", "--reason", "x", "--by", "Ada"]}.get(verb, [])
    code, _, err = _main(capsys, verb, *more, "--champion", tmp_path / "none" / "default")
    assert code == 2
    assert "Give its path with --champion." in err
