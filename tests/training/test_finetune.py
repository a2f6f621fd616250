"""Fine-tuning: it learns, stops early, and ends with the same weights however often it was cut off."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.post import LabelledPost
from data.splits import Splits
from data.taxonomy import BUILT_IN
from training.encoder import read_encoder
from training.errors import DivergedError
from training.examples import make_examples
from training.finetune import BEST_FILE, CHECKPOINT_FILE, Member, Run, save_atomically, warmup_then_linear
from training.members import Finetuned, average_weights, finetune
from training.network import build_network
from training.objectives import label_loss
from training.recipe import Recipe

Item = TypeVar("Item")
MEMBERS, EPOCHS, POSTS, BATCH_POSTS = 2, 2, 24, 8
STEPS = MEMBERS * EPOCHS * POSTS // BATCH_POSTS


class CutOffError(Exception):
    """Stands for a power cut."""


class Watcher:
    """Counts the steps of all members, and cuts the run off before step `at` where that is given."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.steps = at, 0

    def __call__(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for item in items:
            if what.startswith(("fine-tuning", "teaching")):
                if self.steps == self.at:
                    raise CutOffError
                self.steps += 1
            yield item


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """How far two networks are apart: the length of the difference of all weights."""
    return math.sqrt(sum(float((one[name].double() - other[name].double()).square().sum()) for name in one))


def with_settings(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"finetune": recipe.finetune.model_copy(update=changes)})


def timeless(members: Iterable[Member]) -> list[Member]:
    """The members without their seconds, which no two runs share."""
    return [
        replace(member, history=tuple(replace(epoch, seconds=0.0) for epoch in member.history)) for member in members
    ]


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """True where two state dicts are equal bit for bit."""
    return one.keys() == other.keys() and all(
        one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one
    )


@pytest.fixture(scope="module")
def short(recipe: Recipe) -> Recipe:
    return with_settings(recipe, members=MEMBERS, epochs=EPOCHS, batch_posts=BATCH_POSTS)


@pytest.fixture(scope="module")
def few(splits: Splits) -> tuple[list[LabelledPost], list[LabelledPost]]:
    """Few posts to train on and fewer to stop by."""
    return splits.part("train")[:POSTS], splits.part("development")[:12]


@pytest.fixture(scope="module")
def uninterrupted(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Finetuned:
    watcher = Watcher()
    result = finetune(short, encoder, *few, tmp_path_factory.mktemp("whole"), watch=watcher)
    assert watcher.steps == STEPS
    return result


def test_the_tiny_task_is_learnt(finetuned: Finetuned) -> None:
    # Seven kinds of posts with words of their own: a network that reads them gets most right, a guess a third.
    assert finetuned.macro_f1 > 0.8
    assert finetuned.accuracy > 0.8
    assert finetuned.intent_accuracy > 0.6
    for member in finetuned.members:
        assert member.history[-1].loss < member.history[0].loss / 2


def test_the_weights_kept_are_those_of_the_best_epoch(finetuned: Finetuned) -> None:
    for member in finetuned.members:
        figures = [epoch.macro_f1 for epoch in member.history]
        assert member.best_epoch == 1 + figures.index(max(figures))


def test_the_time_spent_is_that_of_all_members(finetuned: Finetuned) -> None:
    assert finetuned.seconds == sum(member.history[-1].seconds for member in finetuned.members) > 0


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, STEPS - 1), min_size=1, max_size=3))
def test_a_run_cut_off_at_any_steps_ends_as_if_it_had_not_been(
    cuts: list[int],
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    uninterrupted: Finetuned,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory, done = tmp_path_factory.mktemp("cut"), 0
    for cut in cuts:
        watcher = Watcher(at=cut)
        if done + cut < STEPS:
            with pytest.raises(CutOffError):
                finetune(short, encoder, *few, directory, watch=watcher, checkpoint_every_s=0)
            done += cut
    watcher = Watcher()
    result = finetune(short, encoder, *few, directory, watch=watcher, checkpoint_every_s=0)
    assert watcher.steps == STEPS - done
    assert timeless(result.members) == timeless(uninterrupted.members)
    assert same(read_weights(result.weights), read_weights(uninterrupted.weights))
    assert (result.macro_f1, result.accuracy) == (uninterrupted.macro_f1, uninterrupted.accuracy)


def test_without_a_checkpoint_in_time_an_epoch_is_trained_again_and_ends_the_same(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    uninterrupted: Finetuned,
    tmp_path: Path,
) -> None:
    per_epoch = POSTS // BATCH_POSTS
    with pytest.raises(CutOffError):
        finetune(short, encoder, *few, tmp_path, watch=Watcher(at=per_epoch + 2), checkpoint_every_s=3_600)
    watcher = Watcher()
    result = finetune(short, encoder, *few, tmp_path, watch=watcher, checkpoint_every_s=3_600)
    assert watcher.steps == STEPS - per_epoch
    assert same(read_weights(result.weights), read_weights(uninterrupted.weights))


def test_a_finished_run_is_not_trained_again(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    uninterrupted: Finetuned,
) -> None:
    watcher = Watcher()
    again = finetune(short, encoder, *few, uninterrupted.weights.parent, watch=watcher)
    assert watcher.steps == 0
    assert again == uninterrupted


def test_members_trained_side_by_side_come_to_the_same(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    uninterrupted: Finetuned,
    tmp_path: Path,
) -> None:
    watcher = Watcher()
    apart = finetune(short, encoder, *few, tmp_path, watch=watcher, processes=2)
    assert watcher.steps == STEPS
    assert timeless(apart.members) == timeless(uninterrupted.members)
    assert same(read_weights(apart.weights), read_weights(uninterrupted.weights))


def test_a_frozen_vocabulary_stays_as_it_was_pretrained_and_all_else_learns(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    tmp_path: Path,
) -> None:
    frozen = with_settings(short, members=1, vocabulary="frozen")
    start = build_network(encoder, len(BUILT_IN.names), dropout=0.0, seed=frozen.seed).state_dict()
    whole = read_weights(finetune(frozen, encoder, *few, tmp_path / "whole").weights)
    assert [name for name, was in start.items() if torch.equal(was, whole[name])] == [
        "encoder.embeddings.word_embeddings.weight"
    ]
    with pytest.raises(CutOffError):
        finetune(frozen, encoder, *few, tmp_path / "cut", watch=Watcher(4), checkpoint_every_s=0.0)
    assert same(read_weights(finetune(frozen, encoder, *few, tmp_path / "cut").weights), whole)


def test_a_batch_in_pieces_teaches_what_it_teaches_whole(
    still: Recipe, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, settings = (
        Path(str(still.encoder.directory)),
        still.finetune.model_copy(update={"epochs": 1, "r_drop": 0.5}),
    )
    short = still.model_copy(update={"finetune": settings})
    start = build_network(encoder, len(BUILT_IN.names), dropout=0.0, seed=short.seed).state_dict()
    whole = read_weights(finetune(short, encoder, *few, tmp_path / "whole").weights)
    monkeypatch.setattr("training.finetune._TOKENS_AT_ONCE", 1)
    apart = read_weights(finetune(short, encoder, *few, tmp_path / "apart").weights)
    assert distance(whole, apart) < 0.01 * distance(whole, start)


@pytest.mark.parametrize(("r_drop", "times"), [(0.0, 1), (0.5, 2)])
def test_r_drop_reads_every_post_of_a_batch_twice_each_drawn_anew(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], r_drop: float, times: int
) -> None:
    settings = with_settings(recipe, epochs=1, r_drop=r_drop, noise=0.5).finetune
    examples = make_examples(few[0], BUILT_IN)
    run = Run(
        settings,
        0,
        build_network(encoder, len(BUILT_IN.names), dropout=0.0, seed=0),
        encoder=read_encoder(recipe.reading, encoder),
        examples=examples,
        objective=label_loss(settings, examples),
    )
    batches = list(run.batches())
    assert sum(len(batch.routes) for batch in batches) == times * POSTS
    if times == 2:
        assert all(torch.equal(batch.routes[0::2], batch.routes[1::2]) for batch in batches)
        alike = torch.cat([(batch.input_ids[0::2] == batch.input_ids[1::2]).all(dim=1) for batch in batches])
        assert 0 < int(alike.sum()) < POSTS


def test_another_seed_ends_with_other_weights(
    short: Recipe,
    encoder: Path,
    few: tuple[list[LabelledPost], list[LabelledPost]],
    uninterrupted: Finetuned,
    tmp_path: Path,
) -> None:
    other = finetune(short.model_copy(update={"seed": 4}), encoder, *few, tmp_path)
    assert not same(read_weights(other.weights), read_weights(uninterrupted.weights))


def test_members_are_trained_apart_and_their_weights_averaged(uninterrupted: Finetuned) -> None:
    directory = uninterrupted.weights.parent
    one, other = (read_weights(directory / f"member-{number}" / BEST_FILE) for number in range(MEMBERS))
    mean = read_weights(uninterrupted.weights)
    assert not same(one, other)
    assert mean.keys() == one.keys()
    for name, values in mean.items():
        np.testing.assert_allclose(values.numpy(), (one[name].numpy() + other[name].numpy()) / 2, atol=1e-7)


def test_the_average_of_weights_is_their_mean_and_keeps_their_type(tmp_path: Path) -> None:
    files = [tmp_path / f"{place}.pt" for place in range(3)]
    for place, file in enumerate(files):
        torch.save({"a": torch.full((2, 2), float(place)), "n": torch.tensor(place)}, file)
    mean = read_weights(average_weights(files, tmp_path / "mean.pt"))
    assert torch.equal(mean["a"], torch.ones(2, 2))
    assert mean["n"].dtype == torch.int64
    assert int(mean["n"]) == 1


def test_training_stops_when_no_epoch_brings_more(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    # A rate at which nothing is learnt: the first epoch is as good as any.
    patient = with_settings(
        recipe, members=1, epochs=9, patience_epochs=2, learning_rate=1e-12, head_learning_rate_factor=1.0
    )
    watcher = Watcher()
    (member,) = finetune(patient, encoder, *few, tmp_path, watch=watcher).members
    assert [epoch.epoch for epoch in member.history] == [1, 2, 3]
    assert member.best_epoch == 1
    assert watcher.steps == 3 * POSTS // patient.finetune.batch_posts


def test_a_loss_that_is_no_number_is_refused_at_the_end_of_its_epoch(
    recipe: Recipe, encoder: Path, few: tuple[list[LabelledPost], list[LabelledPost]], tmp_path: Path
) -> None:
    wild = with_settings(recipe, members=1, epochs=3, learning_rate=1e30)
    watcher = Watcher()
    with pytest.raises(DivergedError) as caught:
        finetune(wild, encoder, *few, tmp_path, watch=watcher)
    assert str(caught.value) == (
        f"Training in {tmp_path / 'member-0'} diverged: the loss of epoch 1 is nan, wanted a finite number. "
        "Lower finetune.learning_rate in the recipe and start with --fresh."
    )
    assert watcher.steps == POSTS // wild.finetune.batch_posts
    assert not (tmp_path / "member-0" / CHECKPOINT_FILE).exists()


def test_what_cannot_be_saved_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_atomically({"step": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        save_atomically({"step": lambda: 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}


@given(steps=st.integers(1, 500), warmup_share=st.floats(0, 1))
def test_the_rate_climbs_once_then_falls_and_stays_between_0_and_1(steps: int, warmup_share: float) -> None:
    factors = [warmup_then_linear(step, steps, warmup_share) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert warmup_then_linear(steps, steps, warmup_share) == 0
