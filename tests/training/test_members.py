"""Members that teach: every option of the recipe resumes, and what cannot teach is refused."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from data.post import LabelledPost, Post
from data.splits import Splits
from data.taxonomy import BUILT_IN
from tests.data.strategies import labelled
from tests.training.test_finetune import CutOffError, Watcher, read_weights, same, timeless, with_settings
from training.development import predict_logits
from training.encoder import read_encoder
from training.errors import RecipeError
from training.examples import make_examples
from training.finetune import BEST_FILE
from training.members import TAUGHT, finetune
from training.network import load_network
from training.recipe import DistillationRecipe, Recipe
from training.teaching import Teacher, ask_teachers, find_teachers, taught

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
        "are trained (runs/NAME-KEY), a file of what they said, or none, or members. Correct distillation.teacher in "
        "the recipe."
    )


def test_a_run_without_its_recipe_cannot_teach(tmp_path: Path) -> None:
    (tmp_path / "member-0").mkdir()
    torch.save({}, tmp_path / "member-0" / BEST_FILE)
    with pytest.raises(RecipeError, match=r"cannot teach: it has no recipe\.toml\. Wanted: the directory of a run"):
        find_teachers(DistillationRecipe(teacher=str(tmp_path)))


def ask(recipe: Recipe, encoder: Path, directory: Path, posts: list[LabelledPost], intents: int = 21) -> None:
    teacher = Teacher(directory / "best.pt", encoder, recipe)
    file = directory / "said.npz"
    ask_teachers([teacher], make_examples(posts, BUILT_IN), file, intents=intents, temperature=2.0)


def test_a_network_for_other_intents_cannot_teach(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    torch.save({"intent.bias": torch.zeros(5)}, tmp_path / "best.pt")
    with pytest.raises(RecipeError) as caught:
        ask(recipe, encoder, tmp_path, few[0])
    assert str(caught.value) == (
        f"The weights {tmp_path / 'best.pt'} cannot teach: they are for 5 intents, these posts have 21. Wanted: a run "
        "on the same taxonomy. Correct distillation.teacher in the recipe."
    )


def test_a_network_of_another_encoder_than_its_recipe_says_cannot_teach(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    torch.save({"intent.bias": torch.zeros(21)}, tmp_path / "best.pt")
    with pytest.raises(RecipeError, match=r"best\.pt cannot teach: they do not fit the encoder in .*Wanted"):
        ask(recipe, encoder, tmp_path, few[0])


def test_teachers_are_asked_of_every_post_once_with_its_author_and_without(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    made = finetune(taught_by(recipe, "none", members=1), encoder, *few, tmp_path)
    network, reading = load_network(encoder, made.weights), read_encoder(recipe.reading, encoder)
    examples = make_examples(few[0], BUILT_IN)
    teacher = Teacher(tmp_path / "member-0" / BEST_FILE, encoder, with_settings(recipe, bf16=False))
    ask_teachers([teacher], examples, tmp_path / "said.npz", intents=21, temperature=2.0)
    for of_teacher, pairs in zip(
        zip(
            *(each.said for each in taught(examples, tmp_path / "said.npz", intents=21, temperature=2.0) if each.said),
            strict=True,
        ),
        ([each.full for each in examples], [each.anonymous for each in examples]),
        strict=True,
    ):
        routes, intents = predict_logits(network, reading, pairs)
        for said, route, intent in zip(of_teacher, routes, intents, strict=True):
            wanted = torch.from_numpy(route).log_softmax(0), torch.from_numpy(intent).log_softmax(0)
            torch.testing.assert_close(said.route.log_softmax(0), wanted[0], atol=1e-2, rtol=1e-2)
            torch.testing.assert_close(said.intent.log_softmax(0), wanted[1], atol=1e-2, rtol=1e-2)


def test_posts_without_labels_change_what_is_learnt_and_need_teachers(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    finetune(taught_by(recipe, "none", members=1), encoder, *few, tmp_path / "teachers")
    pupil = taught_by(recipe, str(tmp_path / "teachers"), members=1)
    more = [Post(id=f"u{number}", text=f"where is parcel {number}") for number in range(8)]
    without = finetune(pupil, encoder, *few, tmp_path / "without")
    with_more = finetune(pupil, encoder, *few, tmp_path / "with", unlabelled=more)
    assert not same(read_weights(without.weights), read_weights(with_more.weights))
    with pytest.raises(ValidationError, match=r"posts without labels need teachers"):
        DistillationRecipe(teacher="none", unlabelled=("more.jsonl",))


def test_a_file_of_answers_teaches_as_the_run_does_that_gave_them(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    finetune(taught_by(recipe, "none", members=1), encoder, *few, tmp_path / "teachers")
    by_run = finetune(taught_by(recipe, str(tmp_path / "teachers"), members=1), encoder, *few, tmp_path / "by-run")
    answers = tmp_path / "by-run" / "said.npz"
    by_file = finetune(taught_by(recipe, str(answers), members=1), encoder, *few, tmp_path / "by-file")
    assert same(read_weights(by_run.weights), read_weights(by_file.weights))
    unknown, pupil = labelled("new", "nobody was asked of this"), taught_by(recipe, str(answers), members=1)
    with pytest.raises(RecipeError, match=r"say nothing of 1 of 25 posts\. Wanted: .* Ask again"):
        finetune(pupil, encoder, [*few[0], unknown], few[1], tmp_path / "more")
    hotter = pupil.distillation.model_copy(update={"temperature": 3.0})
    with pytest.raises(RecipeError, match=r"are for 21 intents at temperature 2\.0, wanted 21 at 3\.0"):
        finetune(pupil.model_copy(update={"distillation": hotter}), encoder, *few, tmp_path / "hotter")
    answers.write_text("no answers")
    with pytest.raises(RecipeError, match=r"said\.npz could not be read"):
        finetune(pupil, encoder, *few, tmp_path / "broken")
