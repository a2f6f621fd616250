"""What the members of a run say of a recipe's posts is kept in a file, and the file teaches in their place."""

import json
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from data.progress import Item, Watch
from data.splits import Splits
from tests.training.test_finetune import read_weights, same
from training.__main__ import main
from training.errors import RecipeError
from training.examples import make_examples
from training.history import HISTORY_FILE
from training.members import Finetuned, finetune
from training.recipe import DistillationRecipe, Recipe, read_recipe, recipe_toml
from training.runs import read_parts, read_unlabelled
from training.teaching import ask_teachers, find_teachers, taught


@pytest.fixture
def recipe_file(recipe: Recipe, tmp_path: Path) -> Path:
    file = tmp_path / "pupil.toml"
    file.write_text(recipe_toml(recipe), encoding="utf-8")
    return file


def test_a_run_is_asked_and_its_answers_teach(
    recipe: Recipe,
    recipe_file: Path,
    encoder: Path,
    finetuned: Finetuned,
    splits: Splits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = finetuned.weights.parent, tmp_path / "answers.npz"
    assert main(["ask", str(run), "--recipe", str(recipe_file), "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    train = make_examples(splits.part("train"), splits.taxonomy)
    texts = len({pair for each in train for pair in (each.full, each.anonymous)})
    assert said == {"answers": str(out), "posts": len(train), "texts": texts}
    distillation = DistillationRecipe(teacher=str(out), temperature=recipe.distillation.temperature)
    pupil = recipe.model_copy(update={"distillation": distillation})
    made = finetune(pupil, encoder, splits.part("train"), splits.part("development"), tmp_path / "pupil")
    assert not same(read_weights(made.weights), read_weights(finetuned.weights))


def test_of_a_grown_corpus_only_the_new_posts_are_asked_about(
    recipe_file: Path, finetuned: Finetuned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, whole, kept, out = finetuned.weights.parent, *(tmp_path / f"{name}.npz" for name in ("whole", "kept", "out"))
    assert main(["ask", str(run), "--recipe", str(recipe_file), "--out", str(whole)]) == 0
    answers = dict(np.load(whole))
    some = slice(None, None, 3)
    of_another_teacher = {"route": answers["route"][some] + 5, "intent": answers["intent"][some] - 5}
    keys = np.append(answers["keys"][some], np.uint64(7))  # and of a text that is in no post any more
    rows = {name: np.append(said, said[:1], axis=0) for name, said in of_another_teacher.items()}
    np.savez(kept, keys=keys, **rows, temperature=answers["temperature"])
    assert main(["ask", str(run), "--recipe", str(recipe_file), "--keep", str(kept), "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["texts"] == len(answers["keys"]) - len(answers["keys"][some])
    grown = dict(np.load(out))
    assert grown["keys"].tolist() == answers["keys"].tolist()
    new = np.ones(len(grown["keys"]), dtype=bool)
    new[some] = False
    for name, said in of_another_teacher.items():
        np.testing.assert_array_equal(grown[name][some], said)
        np.testing.assert_allclose(grown[name][new], answers[name][new], atol=0.05)


def cut_off_after(portions: int) -> Watch:
    """A bar of a sitting that ends after so many portions of texts."""

    def watch(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        yield from islice(items, portions)
        raise KeyboardInterrupt

    return watch


def test_who_was_asked_before_a_sitting_was_cut_off_is_not_asked_again(
    recipe: Recipe, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    examples = make_examples(splits.part("train"), splits.taxonomy)
    teaching = DistillationRecipe(teacher=str(finetuned.weights.parent))
    file, (first, second, *_) = tmp_path / "said.npz", find_teachers(teaching)
    ask = partial(ask_teachers, examples=examples, file=file, intents=21, temperature=2.0, checkpoint_every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        ask([first], watch=cut_off_after(2))
    assert not file.exists()
    assert ask([second]) == len(np.load(file)["keys"])  # of others nothing was known
    file.unlink()
    assert ask([first]) == len(np.load(file)["keys"]) - 128
    assert [path.name for path in tmp_path.iterdir()] == ["said.npz"]
    assert ask([first]) == 0


def test_what_was_kept_in_a_sitting_that_was_cut_off_is_not_taken_for_what_was_said(
    recipe: Recipe, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    examples = make_examples(splits.part("train"), splits.taxonomy)
    file, wrong = tmp_path / "said.npz", tmp_path / "wrong.npz"
    teachers = find_teachers(DistillationRecipe(teacher=str(finetuned.weights.parent)))
    ask = partial(ask_teachers, teachers, examples, file, intents=21, checkpoint_every_s=0.0)
    ask(temperature=2.0)
    right = dict(np.load(file))
    np.savez(
        wrong, **{**right, "keys": right["keys"][:1], "route": right["route"][:1] + 9, "intent": right["intent"][:1]}
    )
    file.unlink()
    with pytest.raises(KeyboardInterrupt):
        ask(temperature=2.0, keep=wrong, watch=cut_off_after(1))
    assert ask(temperature=2.0) == len(right["keys"]) - 64
    np.testing.assert_allclose(np.load(file)["route"][0], right["route"][0], atol=0.05)
    file.unlink()
    with pytest.raises(KeyboardInterrupt):
        ask(temperature=2.0, watch=cut_off_after(1))
    assert ask(temperature=3.0) == len(right["keys"])  # at another temperature nothing was said yet


@pytest.mark.parametrize(
    ("content", "error"), [("precious", "ValueError"), ("", "EOFError"), ("PK\x03\x04 half a copy", "BadZipFile")]
)
def test_answers_that_cannot_be_kept_are_refused(
    content: str,
    error: str,
    recipe_file: Path,
    finetuned: Finetuned,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = tmp_path / "answers.npz"
    kept.write_text(content)
    arguments = ["--recipe", str(recipe_file), "--keep", str(kept), "--out", str(tmp_path / "new.npz")]
    assert main(["ask", str(finetuned.weights.parent), *arguments]) == 2
    assert f"The answers {kept} could not be read: {error}. Wanted a file by" in (said := capsys.readouterr().err)
    assert "--keep FILE" in said


def test_a_run_that_was_cut_off_does_not_teach_yet(
    recipe_file: Path, finetuned: Finetuned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finetuned.weights.parent, run)
    history = run / "member-1" / HISTORY_FILE
    history.write_text(json.dumps(json.loads(history.read_bytes())[:1]))
    command = ["ask", str(run), "--recipe", str(recipe_file), "--out", str(tmp_path / "answers.npz")]
    assert main(command) == 2
    assert "cannot teach yet: 1 of its 2 members are trained to their end" in capsys.readouterr().err
    history.unlink()
    assert main(command) == 2


@pytest.mark.parametrize(("wrong", "words"), [("run", "cannot be asked"), ("out", "are there already")])
def test_what_cannot_be_asked_is_refused_and_no_answers_are_lost(
    wrong: str,
    words: str,
    recipe_file: Path,
    finetuned: Finetuned,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "answers.npz"
    out.write_text("precious")
    run, to = (out, tmp_path / "new.npz") if wrong == "run" else (finetuned.weights.parent, out)
    assert main(["ask", str(run), "--recipe", str(recipe_file), "--out", str(to)]) == 2
    assert words in capsys.readouterr().err
    assert out.read_text() == "precious"


def test_the_answers_that_are_committed_are_of_the_posts_and_the_temperature_of_their_recipe() -> None:
    recipe = read_recipe(Path("training/recipes/default.toml"))
    splits = read_parts(recipe)
    file, temperature = recipe.distillation.elsewhere, recipe.distillation.temperature
    assert file is not None
    some = make_examples(splits.part("train")[::40], splits.taxonomy, unlabelled=read_unlabelled(recipe)[::40])
    assert len(taught(some, file, intents=len(splits.taxonomy.intents), temperature=temperature)) == len(some)
    unknown = make_examples(splits.part("calibration")[:40], splits.taxonomy)
    with pytest.raises(RecipeError, match=r"say nothing of \d+ of 40 posts"):
        taught(unknown, file, intents=len(splits.taxonomy.intents), temperature=temperature)
