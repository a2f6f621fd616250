"""What the members of a run say of a recipe's posts is kept in a file, and the file teaches in their place."""

import json
from pathlib import Path

import pytest

from data.splits import Splits
from tests.training.test_finetune import read_weights, same
from training.__main__ import main
from training.errors import RecipeError
from training.examples import make_examples
from training.members import Finetuned, finetune
from training.recipe import DistillationRecipe, Recipe, read_recipe, recipe_toml
from training.runs import read_parts, read_unlabelled
from training.teaching import taught


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
    assert said == {"answers": str(out), "posts": len(splits.part("train"))}
    distillation = DistillationRecipe(teacher=str(out), temperature=recipe.distillation.temperature)
    pupil = recipe.model_copy(update={"distillation": distillation})
    made = finetune(pupil, encoder, splits.part("train"), splits.part("development"), tmp_path / "pupil")
    assert not same(read_weights(made.weights), read_weights(finetuned.weights))


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
