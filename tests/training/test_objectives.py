"""Class weights leave the probabilities right, teachers are averaged, R-Drop is symmetric."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data.rendering import Rendered
from data.taxonomy import ROUTES
from training.examples import UNLABELLED, Batch, Example, Said
from training.objectives import disagreement, distillation_loss, label_loss, mean_logits, route_weights
from training.recipe import ClassWeights, Recipe

TEXT = Rendered(text="", context="")
counts = st.lists(st.integers(1, 30), min_size=4, max_size=4)
weights = st.lists(st.floats(0.1, 20), min_size=4, max_size=4).map(lambda each: dict(zip(ROUTES, each, strict=True)))
logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=1, max_size=5).map(torch.tensor)


def spread(posts: Sequence[int]) -> list[int]:
    """The places of the routes of so many posts of each."""
    return [route for route, many in enumerate(posts) for _ in range(many)]


def examples_of(routes: Sequence[int]) -> list[Example]:
    return [Example(TEXT, TEXT, TEXT, route=route, intent=0) for route in routes]


def batch_of(routes: Sequence[int]) -> Batch:
    ids = torch.arange(len(routes)).unsqueeze(1)
    return Batch(ids, ids, ids, torch.tensor(routes), torch.zeros(len(routes), dtype=torch.long))


def pull(recipe: Recipe, class_weights: ClassWeights, posts: Sequence[int], route_logits: Tensor) -> Tensor:
    """The gradient of the loss by the logits `[4]` that all of so many posts of each route are given."""
    routes = spread(posts)
    settings = recipe.finetune.model_copy(update={"class_weights": class_weights})
    given_logits = route_logits.clone().requires_grad_()
    rows = given_logits.expand(len(routes), 4)
    loss = label_loss(settings, examples_of(routes))(rows, torch.zeros(len(routes), 2), batch_of(routes))
    (gradient,) = torch.autograd.grad(loss, given_logits)
    return gradient


@given(posts=counts, weighed=weights | st.sampled_from(["none", "balanced"]))
def test_whatever_the_weights_what_is_learnt_is_how_often_a_route_is(
    posts: list[int], weighed: ClassWeights, recipe: Recipe
) -> None:
    shares = torch.tensor(posts) / sum(posts)
    torch.testing.assert_close(pull(recipe, weighed, posts, shares.log()), torch.zeros(4), atol=1e-5, rtol=0)


def test_the_weights_pull_harder_at_what_they_weigh_more(recipe: Recipe) -> None:
    posts = (10, 10, 10, 10)
    lost = torch.tensor([3.0, 0.0, -3.0, 0.0])
    plain, heavy = (pull(recipe, given, posts, lost) for given in ("none", {"sensitive": 10.0}))  # type: ignore[arg-type]  # a literal widened by the loop
    assert abs(float(heavy[2])) > abs(float(plain[2]))


@given(posts=counts)
def test_balanced_routes_weigh_the_same_in_all_and_posts_1_on_average(posts: list[int]) -> None:
    total = route_weights("balanced", spread(posts)) * torch.tensor(posts)
    torch.testing.assert_close(total, torch.full((4,), sum(posts) / 4))


@given(posts=counts, weighed=weights)
def test_given_weights_keep_their_ratios_and_are_1_on_average(posts: list[int], weighed: dict[str, float]) -> None:
    found = route_weights(weighed, spread(posts))  # type: ignore[arg-type]  # routes, by the strategy
    assert float((found * torch.tensor(posts)).sum() / sum(posts)) == pytest.approx(1, rel=1e-5)
    ratios = found / found[0]
    torch.testing.assert_close(ratios, torch.tensor([weighed[route] / weighed[ROUTES[0]] for route in ROUTES]))


def test_a_route_that_no_post_has_weighs_1() -> None:
    assert float(route_weights("balanced", [0, 0, 1])[3]) == 1.0


@given(said=st.lists(logits.filter(lambda each: len(each) == 1), min_size=1, max_size=4), temperature=st.floats(0.5, 8))
def test_teachers_say_the_mean_of_their_softened_probabilities(said: list[Tensor], temperature: float) -> None:
    together = (mean_logits(said, temperature) / temperature).softmax(1)
    apart = torch.stack([(each / temperature).softmax(1) for each in said]).mean(0)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-4)


@given(said=logits)
def test_who_reads_a_post_twice_alike_does_not_disagree(said: Tensor) -> None:
    assert float(disagreement(said.repeat_interleave(2, dim=0))) == pytest.approx(0, abs=1e-6)


def test_the_disagreement_is_the_mean_of_both_divergences() -> None:
    even, sure = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    there = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    back = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    for pair in ((even, sure), (sure, even)):
        assert float(disagreement(torch.cat(pair))) == pytest.approx((there + back) / 2, rel=1e-5)


def test_each_post_disagrees_with_itself_alone() -> None:
    even, sure = torch.tensor([0.0, 0.0]), torch.tensor([math.log(3), 0.0])
    assert float(disagreement(torch.stack([even, even, sure, sure]))) == pytest.approx(0, abs=1e-6)
    apart = float(disagreement(torch.stack([even, sure])))
    assert float(disagreement(torch.stack([even, sure, sure, sure]))) == pytest.approx(apart / 2, rel=1e-5)


def test_a_student_that_says_what_its_teachers_say_together_is_left_with_the_labels(recipe: Recipe) -> None:
    teachers = [torch.tensor([[2.0, 0.0, 0.0, 0.0]] * 2), torch.tensor([[0.0, 0.0, 3.0, 0.0]] * 2)]
    route, intent = mean_logits(teachers, 2.0), torch.zeros(2, 2)
    batch = replace(batch_of([0, 2]), said=Said(route, intent))
    of_labels = label_loss(recipe.finetune, examples_of([0, 2]))
    loss = distillation_loss(of_labels, settings=recipe.finetune, temperature=2.0, label_share=0.3)
    assert float(loss(route, intent, batch)) == pytest.approx(0.3 * float(of_labels(route, intent, batch)), rel=1e-5)
    assert float(loss(teachers[0], intent, batch)) > float(loss(route, intent, batch)) * 0.3


def test_a_post_without_labels_is_learnt_from_its_teachers_alone(recipe: Recipe) -> None:
    examples = [*examples_of([0, 2]), Example(TEXT, TEXT, TEXT, route=UNLABELLED, intent=UNLABELLED)]
    labelled, route, intent = batch_of([0, 2]), torch.randn(3, 4), torch.randn(3, 2)
    batch = replace(batch_of([0, 2, UNLABELLED]), intents=torch.tensor([0, 0, UNLABELLED]))
    of_labels = label_loss(recipe.finetune, examples)
    assert float(of_labels(route, intent, batch)) == pytest.approx(
        float(of_labels(route[:2], intent[:2], labelled)) * 2 / 3
    )


def test_a_teacher_of_routes_leaves_the_intents_to_the_labels(recipe: Recipe) -> None:
    of_labels = label_loss(recipe.finetune, examples_of([0, 2]))
    route, intent = torch.randn(2, 4), torch.randn(2, 2)
    batch = replace(batch_of([0, 2]), said=Said(route, torch.randn(2, 2)))
    loss = distillation_loss(of_labels, settings=recipe.finetune, temperature=2.0, label_share=0.0, heads="routes")
    errors = torch.nn.functional.cross_entropy(intent, batch.intents)
    assert float(loss(route, intent, batch)) == pytest.approx(recipe.finetune.intent_loss_weight * float(errors))


def test_a_batch_of_which_no_teacher_spoke_is_refused(recipe: Recipe) -> None:
    of_labels = label_loss(recipe.finetune, examples_of([0]))
    loss = distillation_loss(of_labels, settings=recipe.finetune, temperature=2.0, label_share=0.3)
    with pytest.raises(ValueError, match=r"no teacher said anything"):
        loss(torch.zeros(1, 4), torch.zeros(1, 2), batch_of([0]))
