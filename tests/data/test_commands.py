"""`python -m data`: what goes to which stream, and with which exit code a command ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.__main__ import main
from data.sources import read_labelled, write_labelled
from data.splits import load_splits
from tests.data.own_taxonomy import OWN_TOML
from tests.data.strategies import labelled

POSTS = [
    labelled("a", "where is my parcel", author={"handle": "sue"}),
    labelled("b", "love the new app", author={"handle": "sue"}),
    labelled("c", "ring 07700 900123", route="sensitive", intent="privacy_data"),
]
BAD = {"id": "d", "text": "hi", "lang": "en", "route": "urgent", "intent": "praise", "source": "x"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    write_labelled(path, POSTS)
    return path


@pytest.fixture
def bad_file(file: Path) -> Path:
    with file.open("a") as lines:
        lines.write(json.dumps(BAD) + "\n")
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the JSON objects on stdout and the text on stderr."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_check_that_passes_ends_with_0_and_counts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, told = run(capsys, "check", file, "--least", 0)
    assert (code, answers) == (
        0,
        [{"posts": 3, "rejects": 0, "errors": 0, "warnings": 0, "notes": 0, "passed": True}],
    )
    assert "3 posts: 0 errors, 0 warnings, 0 notes" in told


def test_a_check_that_finds_errors_ends_with_1_and_tells_them(
    bad_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answers, told = run(capsys, "check", bad_file, "--least", 0, "--report", tmp_path / "report.json")
    assert (code, answers[-1]["errors"], answers[-1]["rejects"], answers[-1]["passed"]) == (1, 1, 1, False)
    assert f"{bad_file}, line 4, route: got 'urgent'" in told
    assert json.loads((tmp_path / "report.json").read_text())["findings"][0]["code"] == "schema"


def test_bad_rows_put_aside_are_warnings_of_a_check(
    bad_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejects = tmp_path / "rejects.jsonl"
    code, answers, told = run(capsys, "check", bad_file, "--least", 0, "--keep-going", "--rejects", rejects)
    assert (code, answers[-1]["warnings"], answers[-1]["rejects"]) == (0, 1, 1)
    assert json.loads(rejects.read_text())["row"] == BAD
    assert f"1 rows are no posts; they are put aside in {rejects}." in told


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """Posts labelled by a taxonomy of the user's own, one of them not quite, and that taxonomy beside them."""
    (tmp_path / "acme.toml").write_text(OWN_TOML)
    path = tmp_path / "own.csv"
    path.write_text(
        "id,text,lang,route,intent\na,where is it,en,simple,where_is_it\nb,it broke,en,complex,Broken-Thing\n"
        "c,thank you,en,simple,thanks\n"
    )
    return path


def test_posts_are_checked_by_the_taxonomy_that_is_given(own_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taxonomy = own_file.with_name("acme.toml")
    code, answers, told = run(capsys, "check", own_file, "--taxonomy", taxonomy, "--least", 1)
    assert (code, answers[-1]["errors"], answers[-1]["warnings"]) == (1, 1, 5)
    assert (
        f"{own_file}, line 3, intent: got 'Broken-Thing'; wanted one of the 4 intents of taxonomy acme-1: where_is_it, "
        "broken_thing, thanks, chatter; write 'broken_thing', which is nearest, or name it in a taxonomy of your own "
        "(docs/data.md)"
    ) in told
    assert "The intent chatter has 0 posts" in told
    own_file.write_text(own_file.read_text().replace("Broken-Thing", "broken_thing"))
    assert run(capsys, "check", own_file, "--taxonomy", taxonomy, "--least", 0)[0] == 0


def test_the_same_posts_are_no_posts_of_the_built_in_taxonomy(
    own_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = run(capsys, "describe", own_file)
    assert code == 2
    assert "line 2, intent: got 'where_is_it'; wanted one of the 21 intents of taxonomy 1: order_status, " in told


def test_they_are_split_and_described_by_it_too(own_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taxonomy, out = own_file.with_name("acme.toml"), own_file.with_name("splits.json")
    own_file.write_text(own_file.read_text().replace("Broken-Thing", "broken_thing"))
    assert run(capsys, "split", own_file, "--taxonomy", taxonomy, "--out", out)[0] == 0
    _, answers, _ = run(capsys, "describe", own_file, "--taxonomy", taxonomy)
    assert answers[-1]["counts"]["intent"] == {"broken_thing": 1, "thanks": 1, "where_is_it": 1}


def test_a_taxonomy_that_is_none_is_misuse(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, told = run(capsys, "check", file, "--taxonomy", file)
    assert (code, answers) == (2, [])
    assert f"The taxonomy {file} cannot be used: " in told


def test_a_check_finds_leakage_where_the_splits_are_given(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "splits.json"
    assert run(capsys, "split", file, "--out", out)[0] == 0
    assert run(capsys, "check", file, "--least", 0, "--splits", out)[0] == 0
    write_labelled(file, [*POSTS, labelled("d", "how do I reset my PIN", author={"handle": "sue"})])
    code, _, told = run(capsys, "check", file, "--least", 0, "--splits", out)
    assert code == 1
    assert "d stand in no part of the splits" in told


def test_a_split_writes_a_file_that_loads_over_the_same_posts(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "splits.json"
    code, answers, told = run(capsys, "split", file, "--out", out, "--seed", 7)
    splits = load_splits(out, read_labelled(file).posts)
    assert (code, answers[-1]["sha256"], splits.file.seed) == (0, splits.file.sha256, 7)
    assert "3 posts in 2 groups, the largest of 2." in told
    assert "The largest group holds more than 1% of the posts" in told


def test_a_trade_that_is_left_out_proves_a_model_that_never_saw_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`v1-0001` and `v1-0002` share a manner and no trade: one may train where the other proves."""
    file, out = tmp_path / "trades.jsonl", tmp_path / "splits.json"
    trades = {"v1-0001": "bank", "v1-0002": "travel", "a1-0001": "travel", "a1-0002": "travel"}
    texts = ("where is my money", "late again, nice", "lovely crew today", "do you fly on sundays")
    write_labelled(
        file, [labelled(each, text, industry=trades[each]) for each, text in zip(trades, texts, strict=True)]
    )
    assert run(capsys, "split", file, "--leave-out", "bank", "--out", out)[0] == 0
    splits = load_splits(out, read_labelled(file).posts)
    assert [post.id for post in splits.part("calibration")] == ["v1-0001"]
    code, _, told = run(capsys, "split", file, "--leave-out", "bnak", "--out", out)
    assert (code, "no post has them: bnak" in told) == (2, True)


def test_a_post_that_is_gone_is_withdrawn_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out, without = tmp_path / "posts.jsonl", tmp_path / "splits.json", tmp_path / "without.json"
    posts = [labelled(f"p{n}", f"question number {n} about something") for n in range(9)]
    write_labelled(file, posts)
    assert run(capsys, "split", file, "--out", out)[0] == 0
    write_labelled(file, posts[1:])
    code, _, told = run(capsys, "split", file, "--keep", out, "--out", without)
    assert (code, "such as 'p0'" in told, "--withdraw" in told) == (2, True, True)
    code, answers, _ = run(capsys, "split", file, "--keep", out, "--withdraw", "p0", "--out", without)
    assert (code, answers[-1]["posts"]) == (0, 8)
    code, _, told = run(capsys, "split", file, "--withdraw", "p0", "--out", without)
    assert (code, "Give the earlier splits by --keep too" in told) == (2, True)


def test_a_split_stops_at_bad_rows_unless_it_is_told_to_keep_going(
    bad_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "splits.json"
    code, answers, told = run(capsys, "split", bad_file, "--out", out)
    assert (code, answers, out.exists()) == (2, [], False)
    assert "1 of 4 rows could not be read as posts" in told
    code, answers, told = run(
        capsys, "split", bad_file, "--out", out, "--keep-going", "--rejects", tmp_path / "rejects.jsonl"
    )
    assert (code, answers[-1]["posts"], out.exists()) == (0, 3, True)
    assert "Ignored fields that are not of a post: source." in told


def test_a_description_counts_labels_and_facts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, told = run(capsys, "describe", file)
    assert (code, answers[-1]["counts"]["route"]) == (0, {"simple": 2, "sensitive": 1})
    assert "3 posts, characters: least 16" in told


def test_posts_without_labels_can_be_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("text,platform\nhi,x\nho,\n")
    code, answers, _ = run(capsys, "describe", "--plain", tmp_path / "a.csv")
    assert (code, answers[-1]["counts"]["platform"]) == (0, {"other": 1, "x": 1})


def test_a_text_is_shown_as_the_model_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, _ = run(capsys, "render", "--text", "@tobes ring 07700 900123", "--platform", "x", "--lang", "en")
    assert (code, answers) == (
        0,
        [
            {"id": None, "text": "@user ring [phone]", "context": "x", "exposed": ["phone"]},
            {"posts": 1, "rendering": "1"},
        ],
    )


def test_every_post_of_a_file_is_shown_as_the_model_reads_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answers, told = run(capsys, "render", file)
    assert (code, [answer.get("id") for answer in answers], answers[-1]["posts"]) == (0, ["a", "b", "c", None], 3)
    assert "Ignored fields that are not of a post: contrast_of, industry, intent, route." in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("describe", "gone.jsonl"), "there is no such file or directory"),
        (("check", "gone.jsonl"), "there is no such file or directory"),
        (("render", "--text", ""), "The post is not valid: text: got ''"),
        (("render", "--text", "hi", "--lang", "english"), "The post is not valid: lang: got 'english'"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answers, message = run(capsys, *arguments)
    assert (code, answers) == (2, [])
    assert told in message


def test_an_answer_that_cannot_be_written_ends_with_2(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answers, told = run(capsys, "split", file, "--out", tmp_path / "no" / "splits.json")
    assert (code, answers) == (2, [])
    assert f"The file {tmp_path / 'no' / 'splits.json'} could not be written: No such file or directory." in told


def test_splits_that_cannot_be_read_end_a_check_with_2(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = run(capsys, "check", file, "--splits", tmp_path / "gone.json")
    assert code == 2
    assert "Make it again: python -m data split" in told


@pytest.mark.parametrize(
    "arguments", [[], ["paint"], ["check"], ["render"], ["split", "a.jsonl"], ["render", "a", "--text", "b"]]
)
def test_misuse_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m data" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["check", "split", "describe", "render"])
def test_every_verb_helps_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  python -m data {verb} " in capsys.readouterr().out


def test_a_missing_group_ends_with_2_and_the_command_to_type(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    code, answers, told = run(capsys, "check", file)
    assert (code, answers) == (2, [])
    assert "pip install --group evaluate -c constraints.txt" in told


def test_the_command_runs_as_a_module_with_answer_and_progress_on_their_own_streams(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "data", "describe", str(file)], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["posts"] == 3
    assert "3 posts" in done.stderr


def test_a_text_can_be_rendered_where_the_serving_group_alone_is_installed() -> None:
    """No library of the other groups is touched on the way."""
    heavy = ("datasets", "pyarrow", "sklearn", "scipy", "datasketch", "tqdm", "pandas", "torch")
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({heavy!r}))\n"
        "from data.__main__ import main\n"
        "sys.exit(main(['render', '--text', 'hi']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
