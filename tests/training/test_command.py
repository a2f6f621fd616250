"""`python -m training`: help, misuse, bad input, a missing group, and figures put into a page."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest

from models.bundle import load_bundle
from tests.training.whole_run import WholeRun
from training.__main__ import main
from training.card import MARKS as FIGURE_MARKS
from training.export import FP32_FILE
from training.members import AVERAGE_FILE, Finetuned
from training.plane_page import JSON_FILE, MARKS, read_plane, render_tables
from training.recipe import Recipe, recipe_toml

ROOT = Path(__file__).parents[2]
VERBS = ("run", "seeds", "curve", "figures", "distill", "plane")


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "examples:\n" in told
    assert f"  python -m training {verb}\n" in told


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(verb in told for verb in VERBS)


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["run", "--wings"], ["plane", "extra"], ["distill", "--wings"], ["figures", "--into"]]
)
def test_misuse_ends_with_2_and_says_how_it_is_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.err.startswith("usage: python -m training")
    assert captured.out == ""


def ended_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said on stderr by a command that cannot be done; stdout stays empty."""
    code = main(words)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("verb", ["run", "distill", "plane"])
def test_a_missing_recipe_ends_with_2(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended_with_2([verb, "--recipe", str(tmp_path / "gone.toml")], capsys) == (
        f"The recipe {tmp_path / 'gone.toml'} could not be read: No such file or directory. Wanted a TOML file. "
        "Give one with --recipe, for example training/recipes/default.toml.\n"
    )


def test_a_bad_recipe_ends_with_2_before_anything_is_done(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(recipe_toml(recipe).replace("epochs = 6", "epochs = 0", 1), encoding="utf-8")
    words = ["run", "--no-tracking", "--recipe", str(path), "--runs", str(tmp_path / "runs")]
    assert ended_with_2([*words, "--out", str(tmp_path / "out")], capsys) == (
        f"The recipe {path} does not fit: finetune.epochs is 0, input should be greater than or equal to 1. "
        "Compare it with training/recipes/default.toml.\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["bad.toml"]


def written(directory: Path, recipe: Recipe, **data: str) -> list[str]:
    """The words that run `recipe` in `directory` with other data."""
    changed = recipe.model_copy(update={"data": recipe.data.model_copy(update=data)})
    (directory / "mine.toml").write_text(recipe_toml(changed), encoding="utf-8")
    return [
        *("run", "--no-tracking", "--recipe", str(directory / "mine.toml")),
        *("--out", str(directory / "out"), "--runs", str(directory / "runs")),
    ]


def test_posts_that_are_not_there_end_with_2(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ended_with_2(written(tmp_path, recipe, posts=str(tmp_path / "gone.jsonl")), capsys)
    assert f"The source {tmp_path / 'gone.jsonl'} could not be read" in told


def test_splits_that_are_not_there_end_with_2_and_the_command_that_makes_them(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ended_with_2(written(tmp_path, recipe, splits=str(tmp_path / "gone.json")), capsys)
    assert f"python -m data split FILE... --out {tmp_path / 'gone.json'}" in told


def test_an_encoder_that_is_not_there_ends_with_2(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = recipe.encoder.model_copy(update={"directory": str(tmp_path / "gone")})
    words = written(tmp_path, recipe.model_copy(update={"encoder": moved}))
    assert "gone: lacks config.json, tokenizer.json, model.safetensors" in ended_with_2(words, capsys)


def test_a_file_to_measure_on_that_is_not_there_ends_with_2_before_the_training(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*written(tmp_path, recipe), "--measure", str(tmp_path / "gone.jsonl")]
    assert "there is no such file or directory" in ended_with_2(words, capsys)
    assert not (tmp_path / "runs").exists()


def test_a_language_that_no_post_has_ends_with_2_before_the_training(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = recipe.data.posts
    assert ended_with_2([*written(tmp_path, recipe), "--measure", f"{posts}:fr"], capsys) == (
        f"The file {posts} has nothing to measure with: none of its 200 posts is in 'fr', they are in en. "
        f"Give one of these: --measure {posts}:LANG.\n"
    )
    assert not (tmp_path / "runs").exists()


WITHOUT_TORCH = """
import runpy, sys

class NoTorch:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
sys.argv[0] = "training"
runpy.run_module("training", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("verb", ["run", "distill", "plane"])
def test_a_missing_group_is_answered_with_the_command_to_type(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, verb],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    purpose = {"run": "Training", "distill": "Distilling a student", "plane": "Measuring the plane"}[verb]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{purpose} needs `torch`, which is not installed here. It belongs to the group `train`. "
        "Install it: pip install --group train -c constraints.txt\n"
    )


@pytest.mark.slow
def test_the_figures_of_a_bundle_are_put_into_a_page(
    whole_run: WholeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{FIGURE_MARKS[0]}\n{FIGURE_MARKS[1]}\nafter\n", encoding="utf-8")
    assert main(["figures", str(whole_run.bundle), "--into", str(page)]) == 0
    assert json.loads(capsys.readouterr().out) == {"bundle": str(whole_run.bundle), "into": str(page)}
    macro_f1 = load_bundle(whole_run.bundle).metrics["held_out"]["route"]["macro_f1"]["value"]
    assert f"| route macro-F1 | {macro_f1:.3f} |" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_page_that_is_not_there_ends_with_2(
    whole_run: WholeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ended_with_2(["figures", str(whole_run.bundle), "--into", str(tmp_path / "gone.md")], capsys)
    assert told == (
        f"The file {tmp_path / 'gone.md'} could not be read or written: No such file or directory. Check the path.\n"
    )


def test_a_student_is_distilled_and_the_plane_measured_drawn_and_put_into_a_page(
    fp32: Path,
    finetuned: Finetuned,
    recipe: Recipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.plane_page.take_picture", lambda *_: None)
    (tmp_path / "mine.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    (tmp_path / "student.toml").write_text(
        "layers = [1]\nepochs = 1\nlearning_rate = 1e-3\ntemperature = 2.0\nlabel_share = 0.5\n", encoding="utf-8"
    )
    for file, name in ((finetuned.weights, AVERAGE_FILE), (fp32, FP32_FILE)):
        copyfile(file, tmp_path / name)
    given = ["--recipe", str(tmp_path / "mine.toml"), "--run-dir", str(tmp_path)]
    assert main(["distill", *given, "--student-recipe", str(tmp_path / "student.toml")]) == 0
    student = json.loads(capsys.readouterr().out)
    assert (student["epoch"], Path(student["weights"]).parent.parent) == (1, tmp_path)

    out, page = tmp_path / "out", tmp_path / "speed.md"
    page.write_text(f"{MARKS[0]}\n{MARKS[1]}\n", encoding="utf-8")
    assert main(["plane", *given, "--student", student["weights"], "--out", str(out)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert [way["name"] for way in measured["ways"]][-1] == "student, static, scaled by token"
    assert main(["plane", "--read", str(out / JSON_FILE), "--out", str(out), "--into", str(page)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {**measured, "into": str(page)}
    assert render_tables(read_plane(out / JSON_FILE)) in captured.err
    assert "| student, fp32" in page.read_text(encoding="utf-8")
