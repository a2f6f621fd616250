"""Members that teach: every option of the recipe resumes, and what cannot teach is refused."""

from pathlib import Path

import pytest
import torch

from data.post import LabelledPost
from data.splits import Splits
from tests.training.test_finetune import CutOffError, Watcher, read_weights, same, timeless, with_settings
from training.errors import RecipeError
from training.finetune import BEST_FILE
from training.members import TAUGHT, finetune
from training.recipe import DistillationRecipe, Recipe
from training.teachers import find_teachers, load_teachers

POSTS, BATCH_POSTS, EPOCHS = 24, 8, 2
STEPS = EPOCHS * POSTS // BATCH_POSTS


@pytest.fixture(scope="module")
def few(splits: Splits) -> tuple[list[LabelledPost], list[LabelledPost]]:
    """Few posts to train on and fewer to stop by."""
    return splits.part("train")[:POSTS], splits.part("development")[:12]


def taught_by(recipe: Recipe, teacher: str, **changes: object) -> Recipe:
    short = with_settings(recipe, epochs=EPOCHS, batch_posts=BATCH_POSTS, **changes)
    return short.model_copy(update={"distillation": DistillationRecipe(teacher=teacher)})


def test_members_teach_one_more_network_which_is_the_model_however_often_it_is_cut_off(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    taught = taught_by(recipe, "members", members=2, class_weights="balanced", r_drop=1.0)
    whole = finetune(taught, encoder, *few, tmp_path / "whole")
    assert len(whole.members) == 3
    assert same(read_weights(whole.weights), read_weights(tmp_path / "whole" / TAUGHT / BEST_FILE))

    for cut in (3, 2 * STEPS - 3 + 2):  # within the first member, and within the teaching
        with pytest.raises(CutOffError):
            finetune(taught, encoder, *few, tmp_path / "cut", watch=Watcher(cut), checkpoint_every_s=0.0)
    again = finetune(taught, encoder, *few, tmp_path / "cut")
    assert timeless(again.members) == timeless(whole.members)
    assert same(read_weights(again.weights), read_weights(whole.weights))


def test_the_networks_of_another_run_teach(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    first = finetune(taught_by(recipe, "none", members=2), encoder, *few, tmp_path / "teachers")
    taught = taught_by(recipe, str(tmp_path / "teachers"), members=1)
    assert len(find_teachers(taught.distillation)) == 2
    second = finetune(taught, encoder, *few, tmp_path / "student")
    assert len(second.members) == 1
    assert not same(read_weights(second.weights), read_weights(first.weights))


@pytest.mark.parametrize("change", [{"r_drop": 1.0}, {"class_weights": {"sensitive": 5.0}}])
def test_an_option_that_is_on_changes_what_is_learnt(
    change: dict[str, object],
    recipe: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    tmp_path: Path,
) -> None:
    plain, changed = taught_by(recipe, "none", members=1), taught_by(recipe, "none", members=1, **change)
    off, on = (finetune(each, encoder, *few, tmp_path / str(at)) for at, each in enumerate((plain, changed)))
    assert not same(read_weights(off.weights), read_weights(on.weights))


def test_a_run_that_left_no_weights_cannot_teach(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        find_teachers(DistillationRecipe(teacher=str(tmp_path)))
    assert str(caught.value) == (
        f"The run {tmp_path} cannot teach: it has no member-*/best.pt. Wanted: the directory of a run whose members "
        "are trained (runs/NAME-KEY), or none, or members. Correct distillation.teacher in the recipe."
    )


def test_a_network_for_other_intents_cannot_teach(encoder: Path, tmp_path: Path) -> None:
    torch.save({"intent.bias": torch.zeros(5)}, tmp_path / "best.pt")
    with pytest.raises(RecipeError) as caught:
        load_teachers(encoder, [tmp_path / "best.pt"], 21)
    assert str(caught.value) == (
        f"The weights {tmp_path / 'best.pt'} cannot teach: they are for 5 intents, these posts have 21. Wanted: a run "
        "on the same taxonomy. Correct distillation.teacher in the recipe."
    )


def test_a_network_of_another_encoder_cannot_teach(encoder: Path, tmp_path: Path) -> None:
    torch.save({"intent.bias": torch.zeros(21)}, tmp_path / "best.pt")
    with pytest.raises(RecipeError, match=r"best\.pt cannot teach: they do not fit the encoder in .*Wanted"):
        load_teachers(encoder, [tmp_path / "best.pt"], 21)
