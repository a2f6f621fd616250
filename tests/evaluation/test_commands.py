import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from data.fingerprint import fingerprint
from data.sources import read_labelled, write_labelled
from data.splits import split, write_splits
from data.suggestions import read_suggestions
from data.taxonomy import Intent, Route
from evaluation.__main__ import main
from evaluation.commands import Load
from models.bundle import BundleError, BundleParts, write_bundle
from models.calibration import Calibration
from models.policy import Policy
from models.predictor import Predictor
from tests.data.own_taxonomy import OWN
from tests.evaluation.populations import Row, labelled_post, labelled_posts, predictor
from tests.fakes import BOLD_POLICY, FakeClassifier, fake_bundle
from tests.models.tiny_bundle import write_tiny_bundle
from tests.models.tiny_model import Meaning, write_tiny_model, write_tiny_tokenizer

LOOSE = ("--leak-sensitive", 0.3, "--leak-influencer", 0.3, "--wrong", 0.3)


def _load(_: Path, policy: Policy | None) -> Predictor:
    return predictor(policy or BOLD_POLICY)


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    german = labelled_post(900, ("where is my parcel", "simple", "order_status")).model_copy(update={"lang": "de"})
    write_labelled(path, [*labelled_posts(4, 1), german])
    return path


def _run(capsys: pytest.CaptureFixture[str], *arguments: object, load: Load = _load) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments], load)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_score_prints_a_table_for_people_and_one_json_line(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    code, out, err = _run(capsys, "score", "bundle", posts)
    assert code == 0
    content = json.loads(out)
    assert out.count("\n") == 1
    assert content["summary"]["posts"] == 38
    assert content["origin"]["model_version"] == "2026.11.22+fake00"
    assert content["origin"]["part"] is None
    assert len(content["origin"]["posts_fingerprint"]) == 64
    for words in ("38 posts in", "route macro-F1", "leak of sensitive", "nothing: the policy carries no certificate"):
        assert words in err


def test_posts_are_read_by_the_taxonomy_of_the_bundle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, posts: Path
) -> None:
    meaning: Meaning = {"parcel": ("simple", "where_is_it"), "thanks": ("simple", "thanks")}
    policy = BOLD_POLICY.model_copy(update={"no_reply_intents": ("thanks",)})
    bundle = write_tiny_bundle(tmp_path / "own", meaning=meaning, policy=policy, taxonomy=OWN).directory
    own = tmp_path / "own.jsonl"
    rows: list[Row] = [("where is my parcel", "simple", "where_is_it"), ("thanks", "simple", "chatter")]
    write_labelled(own, [labelled_post(number, row) for number, row in enumerate(rows)])
    assert main(["score", str(bundle), str(own)]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary["intent"]["labels"] == list(OWN.names)
    assert summary["intent"]["accuracy"]["value"] == 0.5
    assert summary["decisions"]["wrong"]["events"] == 0  # both true intents of what was closed need no reply
    assert main(["score", str(bundle), str(posts)]) == 2
    assert "wanted one of the 4 intents of taxonomy acme-1" in capsys.readouterr().err
    other = tmp_path / "policy.json"
    other.write_text(BOLD_POLICY.model_dump_json())
    assert main(["score", str(bundle), str(own), "--policy", str(other)]) == 2
    assert "Policy 7 does not fit: its no_reply_intents names 'not_service'" in capsys.readouterr().err


def test_only_the_languages_asked_for_are_scored(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    _, out, _ = _run(capsys, "score", "bundle", posts, "--lang", "en")
    assert json.loads(out)["summary"]["posts"] == 37
    _, out, _ = _run(capsys, "score", "bundle", posts, "--lang", "en", "--lang", "de")
    assert json.loads(out)["summary"]["posts"] == 38


def test_a_language_that_no_post_has_is_answered_with_those_they_have(
    capsys: pytest.CaptureFixture[str], posts: Path
) -> None:
    code, out, err = _run(capsys, "score", "bundle", posts, "--lang", "fr")
    assert (code, out) == (2, "")
    assert "none of the 38 posts" in err
    assert "is in fr. Their languages: de, en. Choose of these with --lang." in err


def test_a_part_is_read_by_the_splits_given(capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path) -> None:
    splits = tmp_path / "splits.json"
    rows = [*labelled_posts(4, 1), labelled_post(900, ("where is my parcel", "simple", "order_status"))]
    write_labelled(posts, rows)
    made = split(rows)
    write_splits(splits, made)
    code, out, _ = _run(capsys, "score", "bundle", posts, "--part", "train", "--splits", splits)
    assert code == 0
    content = json.loads(out)
    assert content["origin"]["part"] == "train"
    assert content["summary"]["posts"] == len(made.part("train")) < len(rows)


def test_the_corpus_is_read_by_its_calibration_part(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = split(read_labelled(posts).posts)
    write_splits(tmp_path / "splits.json", made)
    monkeypatch.setattr("evaluation.commands.CORPUS", posts)
    assert made.part("calibration")
    code, out, err = _run(capsys, "score", "bundle", posts, "--splits", tmp_path / "splits.json")
    content = json.loads(out)
    assert (code, content["origin"]["part"]) == (0, "calibration")
    assert content["summary"]["posts"] == len(made.part("calibration"))
    assert f"{posts}, part calibration" in err


def test_a_missing_file_is_named_with_what_is_wanted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = _run(capsys, "score", "bundle", tmp_path / "none.jsonl")
    assert (code, out) == (2, "")
    assert f"The source {tmp_path / 'none.jsonl'} could not be read: there is no such file" in err


def test_a_bundle_that_cannot_be_trusted_is_refused(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    def refuse(bundle: Path, policy: Policy | None) -> Predictor:
        raise BundleError("No bundle in bundle: there is no manifest.json.")

    assert _run(capsys, "report", "bundle", posts, load=refuse) == (
        2,
        "",
        "No bundle in bundle: there is no manifest.json.\n",
    )


def test_a_missing_bundle_is_refused_without_a_fake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["score", str(tmp_path), str(tmp_path)])
    assert code == 2
    assert f"No bundle in {tmp_path}: there is no manifest.json." in capsys.readouterr().err


def test_report_names_the_three_files_it_wrote(capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path) -> None:
    code, out, err = _run(capsys, "report", "bundle", posts, "--out", tmp_path / "new" / "report")
    files = json.loads(out)
    assert code == 0
    assert [Path(file).name for file in files.values()] == ["report.html", "report.json", "errors.csv"]
    assert all(Path(file).is_file() and file in err for file in files.values())


def test_what_a_bundle_says_is_written_for_labelling_and_auditing(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path
) -> None:
    code, out, told = _run(capsys, "predict", "bundle", posts, "--out", tmp_path / "said.jsonl")
    said = read_suggestions(tmp_path / "said.jsonl")
    labelled = read_labelled(posts).posts
    assert (code, json.loads(out)["posts"]) == (0, len(labelled))
    assert list(said) == [post.id for post in labelled]
    first = said[labelled[0].id]
    assert first.route.probabilities is not None
    assert sum(first.route.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert first.route.label == max(first.route.probabilities, key=first.route.probabilities.__getitem__)
    assert first.versions.model == "2026.11.22+fake00"
    assert "says of" in told


def test_posts_without_ids_are_not_predicted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "hi"}\n')
    code, out, told = _run(capsys, "predict", "bundle", tmp_path / "a.jsonl", "--out", tmp_path / "said.jsonl")
    assert (code, out, (tmp_path / "said.jsonl").exists()) == (2, "", False)
    assert "1 of the 1 posts" in told


def test_a_report_that_cannot_be_written_says_where(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path
) -> None:
    code, _, err = _run(capsys, "report", "bundle", posts, "--out", posts)
    assert code == 2
    assert f"The file {posts} could not be written: File exists." in err


def test_certify_fails_where_a_risk_is_not_proven_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], posts: Path
) -> None:
    code, out, err = _run(capsys, "certify", "bundle", posts, "--leak-sensitive", 0.3, "--confidence", 0.9)
    content = json.loads(out)
    assert (code, content["certified"]) == (1, False)
    budgets = {each["risk"]: (each["budget"], each["confidence"]) for each in content["certificates"]}
    assert budgets == {"leak_sensitive": (0.3, 0.9), "leak_influencer": (0.05, 0.9), "wrong": (0.1, 0.9)}
    assert "leak_sensitive: 1 of 9 sensitive posts" in err
    assert "is not provable" in err


def test_certify_passes_where_the_budget_is_proven(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    budget = ("--leak-sensitive", 0.6, "--leak-influencer", 0.9, "--wrong", 0.6)
    code, out, err = _run(capsys, "certify", "bundle", posts, *budget)
    assert (code, json.loads(out)["certified"]) == (0, True)
    assert err.count("is proven") == 3


@pytest.mark.parametrize("part", ["train", "development", "temperature"])
def test_a_part_that_took_part_in_making_the_model_certifies_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, part: str
) -> None:
    posts, splits = _write_split_posts(tmp_path)
    code, out, err = _run(capsys, "certify", "bundle", posts, "--splits", splits, "--part", part, *LOOSE)
    assert (code, out) == (2, "")
    assert f"Nothing was certified: the part '{part}' takes part in making a model; wanted 'calibration'" in err


@pytest.mark.parametrize("languages", [(), ("--lang", "en")])
def test_the_posts_that_a_model_was_made_from_certify_nothing(
    capsys: pytest.CaptureFixture[str], posts: Path, languages: tuple[str, ...]
) -> None:
    def load(_: Path, policy: Policy | None) -> Predictor:
        known = fingerprint(read_labelled(posts).posts)
        loaded = predictor(policy or BOLD_POLICY)
        manifest = loaded.bundle.manifest.model_copy(update={"data_fingerprint": known})
        return Predictor(replace(loaded.bundle, manifest=manifest), FakeClassifier(), loaded.guards)

    code, out, err = _run(capsys, "certify", "bundle", posts, *languages, *LOOSE, load=load)
    assert (code, out) == (2, "")
    assert "these are the posts that 2026.11.22+fake00 was made from" in err


def test_a_policy_that_answers_nothing_is_never_certified(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(Policy().model_dump_json())
    budget = ("--leak-sensitive", 1, "--leak-influencer", 1, "--wrong", 1)
    code, out, err = _run(capsys, "certify", "bundle", posts, "--policy", policy, *budget)
    assert (code, json.loads(out)["certified"]) == (1, False)
    assert "This policy answers nothing" in err


def test_certify_fits_thresholds_for_a_budget_and_writes_their_policy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (posts, splits), out_file = _write_split_posts(tmp_path), tmp_path / "policy.json"
    arguments = ("certify", "bundle", posts, "--splits", splits, "--part", "calibration", *LOOSE)
    code, out, err = _run(capsys, *arguments, "--fit", out_file, "--version", "9")
    policy = Policy.model_validate_json(out_file.read_bytes())
    assert (code, policy.version, policy.thresholds.answer_nothing) == (0, "9", False)
    assert json.loads(out)["thresholds"] == policy.thresholds.model_dump(mode="json")
    assert all(each.certified for each in policy.certificates)
    assert "steps from safe to bold" in err


def _write_split_posts(directory: Path) -> tuple[Path, Path]:
    """A file of posts and one of their parts, large enough to prove the budget `LOOSE`."""
    posts, splits = directory / "posts.jsonl", directory / "splits.json"
    rows = [labelled_post(number, row) for number, row in _distinct_rows(150)]
    write_labelled(posts, rows)
    write_splits(splits, split(rows, rules=()))
    return posts, splits


def _distinct_rows(count: int) -> list[tuple[int, Row]]:
    """Posts without a word in common but the one that the fake knows, so that none is another's near duplicate."""
    letters = random.Random(1)
    words: dict[Route, tuple[str, Intent]] = {
        "sensitive": ("injured", "safety_health"),
        "influencer": ("journalist", "product_info"),
        "complex": ("again", "service_quality"),
        "simple": ("parcel", "order_status"),
    }

    def noise() -> str:
        return " ".join("".join(letters.choices("bcdfghklmnprstvw", k=7)) for _ in range(6))

    rows: list[Row] = [(f"{word} {noise()}", route, intent) for route, (word, intent) in list(words.items()) * count]
    return list(enumerate(rows))


@pytest.mark.parametrize("options", [("--version", "9"), ("--part", "calibration")])
def test_a_fit_needs_the_calibration_part_and_a_version(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    code, _, err = _run(capsys, "certify", "bundle", posts, "--fit", tmp_path / "policy.json", *options)
    assert code == 2
    assert "No policy was fitted" in err
    assert "Give --part calibration --splits FILE --version V." in err
    assert not (tmp_path / "policy.json").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "Invalid JSON"), ('{"thresholds": {"simple": 2}}', "thresholds.simple"), (None, "No such")],
)
def test_a_policy_file_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path, content: str | None, words: str
) -> None:
    policy = tmp_path / "policy.json"
    if content is not None:
        policy.write_text(content)
    code, _, err = _run(capsys, "score", "bundle", posts, "--policy", policy)
    assert code == 2
    assert f"The policy {policy} cannot be used: " in err
    assert words in err


@pytest.mark.parametrize("verb", ["score", "report", "compare", "certify", "predict", "queue", "behaviour"])
def test_the_help_of_a_verb_speaks_of_what_it_takes_and_of_nothing_else(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    usage, note = capsys.readouterr().out.split("options:")
    note = note.partition("\n\n")[2].partition("example:")[0]
    for name in ("BUNDLE", "CHAMPION", "CHALLENGER", "FILE", "POSTS"):
        takes = bool(re.search(rf"^  {name} ", usage, re.M))
        assert takes == bool(re.search(rf"\b{name}\b", note)), name
    assert ("--part" in note) == ("--part" in usage) == ("calibration part" in note) == ("with labels" in note)


@pytest.mark.parametrize("confidence", [0.4, 1])
def test_a_confidence_that_proves_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], posts: Path, confidence: float
) -> None:
    code, _, err = _run(capsys, "certify", "bundle", posts, "--confidence", confidence)
    assert code == 2
    assert "The budget cannot be proven: confidence is" in err


def test_a_share_above_one_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["certify", "--wrong", "5"])
    assert "5 is no share; wanted a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["score", "report", "certify", "behaviour"])
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"example:\n  python -m evaluation {verb} models/default" in capsys.readouterr().out


@pytest.mark.parametrize("library", ["scipy", "plotly"])
def test_a_missing_group_is_answered_with_the_command_that_installs_it(library: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None; from evaluation.__main__ import main; sys.exit(main(['score']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Install it: pip install --group evaluate -c constraints.txt" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_real_bundle_is_scored_from_disk(capsys: pytest.CaptureFixture[str], posts: Path, tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model.onnx", tmp_path / "tokenizer.json"
    write_tiny_model(model)
    write_tiny_tokenizer(tokenizer)
    fake = fake_bundle()
    parts = BundleParts(
        fake.manifest, model, tokenizer, Calibration(), BOLD_POLICY, metrics={}, recipe="", card="A tiny one."
    )
    write_bundle(tmp_path / "bundle", parts)
    code = main(["score", str(tmp_path / "bundle"), str(posts), "--lang", "en"])
    content = json.loads(capsys.readouterr().out)
    assert (code, content["summary"]["posts"]) == (0, 37)
    assert sum(sum(row) for row in content["summary"]["route"]["confusion"]) == 37
    assert content["origin"]["model_version"] == fake.manifest.model_version
