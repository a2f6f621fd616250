"""Heads that start as a linear probe: what they know before the first step, and what they leave alone."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from data.progress import Item
from data.splits import Splits
from data.taxonomy import BUILT_IN
from training.development import Vectors, pool_pairs, predict_logits
from training.encoder import read_encoder
from training.examples import Encoder, Example, make_examples
from training.members import finetune
from training.network import Network, build_network
from training.probe import start_heads
from training.recipe import Recipe


@pytest.fixture
def drawn(encoder: Path) -> Network:
    return build_network(encoder, len(BUILT_IN.names), dropout=0.1, seed=1)


@pytest.fixture(scope="module")
def reading(recipe: Recipe, encoder: Path) -> Encoder:
    return read_encoder(recipe.reading, encoder)


@pytest.fixture(scope="module")
def examples(splits: Splits) -> tuple[Example, ...]:
    return make_examples(splits.part("train"), BUILT_IN)


def same_as_before(network: Network, before: dict[str, torch.Tensor], part: str) -> bool:
    after = network.state_dict()
    return all(torch.equal(after[name], was) for name, was in before.items() if name.startswith(part))


def copy_of(network: Network) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in network.state_dict().items()}


def regression_on(rows: Vectors, examples: Sequence[Example]) -> tuple[LogisticRegression, Vectors]:
    """The regression that tells the routes of these examples apart, and their vectors as it takes them."""
    scaled = rows / np.linalg.norm(rows, axis=1).mean()
    return LogisticRegression(C=10.0, max_iter=1_000).fit(scaled, [each.route for each in examples]), scaled


def test_the_heads_say_what_a_regression_on_the_pretrained_encoder_says(
    drawn: Network, reading: Encoder, examples: tuple[Example, ...]
) -> None:
    before = copy_of(drawn)
    rows = pool_pairs(drawn, reading, [each.full for each in examples])
    start_heads(drawn, reading, examples, routed=True)
    regression, scaled = regression_on(rows, examples)
    said, _ = predict_logits(drawn, reading, [each.full for each in examples])
    wanted = regression.predict_log_proba(scaled)
    shares = said - np.log(np.exp(said).sum(1, keepdims=True))
    np.testing.assert_allclose(shares[:, regression.classes_], wanted, atol=1e-3)
    assert same_as_before(drawn, before, "encoder.")


def test_two_classes_are_told_apart_as_surely_as_the_regression_does(
    drawn: Network, reading: Encoder, examples: tuple[Example, ...]
) -> None:
    two = [replace(each, route=min(each.route, 1)) for each in examples]
    rows = pool_pairs(drawn, reading, [each.full for each in two])
    start_heads(drawn, reading, two, routed=True)
    regression, scaled = regression_on(rows, two)
    said, _ = predict_logits(drawn, reading, [each.full for each in two])
    np.testing.assert_allclose(said[:, 1] - said[:, 0], regression.decision_function(scaled), atol=1e-3)


def test_a_class_that_nothing_teaches_is_no_likelier_than_the_rarest(
    drawn: Network, reading: Encoder, examples: tuple[Example, ...]
) -> None:
    taught = [each for each in examples if each.route != 2]
    start_heads(drawn, reading, taught, routed=True)
    assert drawn.route.bias[2] == drawn.route.bias.min()
    assert not drawn.route.weight[2].any()


def test_an_idle_route_head_and_a_head_of_one_label_stay_as_they_were_drawn(
    drawn: Network, reading: Encoder, examples: tuple[Example, ...]
) -> None:
    before = copy_of(drawn)
    start_heads(drawn, reading, [replace(each, intent=3) for each in examples], routed=False)
    assert same_as_before(drawn, before, "")


def test_a_recipe_trains_on_from_there(recipe: Recipe, encoder: Path, splits: Splits, tmp_path: Path) -> None:
    posts = splits.part("train"), splits.part("development")
    barely = {"members": 1, "epochs": 1, "learning_rate": 1e-9, "head_learning_rate_factor": 1.0}
    probe, chance = (
        finetune(
            recipe.model_copy(update={"finetune": recipe.finetune.model_copy(update=barely | {"heads": heads})}),
            encoder,
            *posts,
            tmp_path / heads,
        )
        for heads in ("probe", "drawn")
    )
    assert probe.intent_accuracy > chance.intent_accuracy
    assert probe.accuracy > chance.accuracy


def test_the_probe_is_found_once_for_all_members_and_not_again_when_a_run_goes_on(
    recipe: Recipe, encoder: Path, splits: Splits, tmp_path: Path
) -> None:
    two = {"members": 2, "epochs": 1, "heads": "probe"}
    seen: list[str] = []

    def watch(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
        seen.append(what)
        return items

    def train() -> float:
        settings = recipe.finetune.model_copy(update=two)
        of_two = recipe.model_copy(update={"finetune": settings})
        posts = splits.part("train"), splits.part("development")
        return finetune(of_two, encoder, *posts, tmp_path, watch=watch).macro_f1

    once = train()
    assert seen.count("reading") == 1
    for member in tmp_path.glob("member-*"):
        shutil.rmtree(member)
    assert train() == once
    assert seen.count("reading") == 1
