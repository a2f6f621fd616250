"""A student keeps some layers of its teacher, learns from what it says, and can be exported like any network."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.rendering import render
from data.splits import Splits
from models.classifier import Classifier
from tests.training.tiny_encoder import LAYERS, READING
from training.errors import RecipeError
from training.export import difference, export_fp32
from training.members import Finetuned
from training.network import Network, load_network
from training.objectives import soft_loss
from training.recipe import DEFAULT_STUDENT, Recipe, StudentRecipe, read_student_recipe
from training.student import Student, distill, keep_layers, load_student, student_directory

HALF = StudentRecipe(layers=(1,), epochs=2, learning_rate=5e-3, temperature=2.0, label_share=0.3)
Item = TypeVar("Item")
logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=1, max_size=5).map(torch.tensor)


@pytest.fixture(scope="module")
def student(recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits) -> Student:
    return distill(recipe, HALF, encoder, finetuned.weights, splits)


def test_the_kept_layers_are_the_teachers_own(encoder: Path, finetuned: Finetuned) -> None:
    whole, half = (load_network(encoder, finetuned.weights) for _ in range(2))
    keep_layers(half, [1])
    ours, theirs = half.state_dict(), whole.state_dict()
    assert len(half.encoder.encoder.layer) == half.encoder.config.num_hidden_layers == 1
    moved = {name: name.replace("layer.0.", "layer.1.") for name in ours}
    assert all(torch.equal(ours[name], theirs[moved[name]]) for name in ours)


def test_all_layers_kept_change_nothing(encoder: Path, finetuned: Finetuned) -> None:
    whole, kept = (load_network(encoder, finetuned.weights) for _ in range(2))
    keep_layers(kept, range(LAYERS))
    ids = torch.tensor([[2, 9, 3, 8, 3]])
    with torch.no_grad():
        said = [network(ids, torch.ones_like(ids), torch.zeros_like(ids)) for network in (whole, kept)]
    assert torch.equal(said[0][0], said[1][0])


def test_a_layer_that_the_teacher_lacks_is_refused(network: Network) -> None:
    with pytest.raises(RecipeError) as caught:
        keep_layers(network, [0, LAYERS])
    assert str(caught.value) == (
        "The student cannot have the layers [2]: its teacher has 2, counted from 0. Name some of 0 to 1 in `layers`."
    )


@given(said=logits, temperature=st.floats(0.5, 8))
def test_who_says_the_same_loses_nothing(said: torch.Tensor, temperature: float) -> None:
    assert float(soft_loss(said, said + 3, temperature)) == pytest.approx(0, abs=1e-3)


def test_the_loss_is_the_divergence_of_the_teacher_from_the_student() -> None:
    ours, theirs = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    wanted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)  # softened by 2: three to one
    assert float(soft_loss(ours, theirs, 2.0)) == pytest.approx(4 * wanted, rel=1e-5)


def test_the_student_learns_the_tiny_task(student: Student, recipe: Recipe) -> None:
    best = student.history[student.best_epoch - 1]
    assert best.macro_f1 > 0.7
    assert student.history[-1].loss < student.history[0].loss


def test_the_student_is_kept_beside_its_teacher_and_known_by_all_that_made_it(
    student: Student, recipe: Recipe, finetuned: Finetuned, splits: Splits
) -> None:
    own, weights = student.weights.parent, finetuned.weights
    assert student_directory(HALF, recipe, weights, splits) == own
    other = HALF.model_copy(update={"temperature": 3.0})
    assert student_directory(other, recipe, weights, splits) != own
    assert student_directory(HALF, recipe.model_copy(update={"seed": 4}), weights, splits) != own
    assert student_directory(HALF, recipe, weights, replace(splits, posts=splits.posts[1:])) != own
    assert student_directory(HALF, recipe, weights.parent / "member-0" / "best.pt", splits).name != own.name


class CutOffError(Exception):
    """Stands for a power cut."""


def test_a_student_that_was_cut_off_goes_on_to_the_same_weights(
    student: Student, recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    def cut_off(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for place, item in enumerate(items):
            if what.startswith("teaching") and place == (total or 0) // 2 + 1:
                raise CutOffError
            yield item

    weights = tmp_path / "average.pt"
    weights.write_bytes(finetuned.weights.read_bytes())
    with pytest.raises(CutOffError):
        distill(recipe, HALF, encoder, weights, splits, watch=cut_off)
    again = distill(recipe, HALF, encoder, weights, splits)
    ours, theirs = (torch.load(each.weights, weights_only=True) for each in (again, student))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [replace(epoch, seconds=0) for epoch in again.history] == [
        replace(epoch, seconds=0) for epoch in student.history
    ]


def test_a_student_is_exported_and_fused_like_any_network(
    student: Student, encoder: Path, splits: Splits, tmp_path: Path
) -> None:
    network = load_student(encoder, student.weights)
    graph = export_fp32(network, tmp_path)
    tokenizer, posts = encoder / "tokenizer.json", splits.part("development")[:5]
    assert difference(network, graph, tokenizer, READING, posts) < 1e-4
    assert Classifier(graph, tokenizer, READING).encode(render(posts[0])).tokens > 0


def test_the_student_recipe_that_ships_can_be_read() -> None:
    student = read_student_recipe(DEFAULT_STUDENT)
    assert len(student.layers) == 3


def test_a_student_recipe_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DEFAULT_STUDENT.read_text(encoding="utf-8").replace("epochs = 3", "epochs = 0"), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_student_recipe(path)
    assert str(caught.value) == (
        f"The recipe {path} does not fit: epochs is 0, input should be greater than or equal to 1. "
        f"Compare it with {DEFAULT_STUDENT}."
    )
