"""Batches: how they are padded, what a window keeps of its bytes in one, and that all costs are measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Encoding

from data.rendering import render
from data.splits import Splits
from models.classifier import INPUTS, OUTPUTS, Classifier, FloatArray, IntArray, open_session
from tests.training.tiny_encoder import READING
from training.batches import SIZES, SameBytes, batch_costs, pad, same_bytes


@pytest.fixture(scope="module")
def windows(fp32: Path, encoder: Path, splits: Splits) -> list[Encoding]:
    reader = Classifier(fp32, encoder / "tokenizer.json", READING)
    return [reader.encode(render(post)).windows[0] for post in splits.posts[:40]]


class FakeSession:
    """Says the first token of each window, and, where it `sees` that, what else it saw; notes the shapes it ran."""

    def __init__(self, sees: str = "") -> None:
        self.sees, self.shapes = sees, list[tuple[int, ...]]()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, IntArray]) -> list[FloatArray]:
        assert tuple(output_names) == OUTPUTS
        ids, mask = input_feed["input_ids"], input_feed["attention_mask"]
        self.shapes.append(ids.shape)
        seen = {"": 0, "neighbours": len(ids), "padding": (mask == 0).sum(axis=1)}[self.sees]
        said = (ids[:, :1] + np.reshape(seen, (-1, 1))).astype(np.float32)
        return [said, said]


def test_windows_are_padded_to_the_longest(windows: list[Encoding]) -> None:
    feed = pad(windows)
    assert tuple(feed) == INPUTS
    assert feed["input_ids"].shape == (len(windows), max(len(window.ids) for window in windows))
    for row, window in enumerate(windows):
        length = len(window.ids)
        assert feed["input_ids"][row, :length].tolist() == window.ids
        assert feed["token_type_ids"][row, :length].tolist() == window.type_ids
        assert feed["attention_mask"][row].sum() == length
        assert not feed["input_ids"][row, length:].any()


def test_windows_are_cut_to_the_length_that_is_asked_for(windows: list[Encoding]) -> None:
    feed = pad(windows, 5)
    assert feed["input_ids"].tolist() == [window.ids[:5] for window in windows]
    assert feed["attention_mask"].all()


@pytest.mark.parametrize(("sees", "same"), [("", "padded"), ("padding", "equal"), ("neighbours", "alone")])
def test_what_a_graph_lets_a_window_see_is_found_out(windows: list[Encoding], sees: str, same: SameBytes) -> None:
    assert same_bytes(FakeSession(sees), windows) == same


def test_the_int8_graph_that_ships_does_not_keep_windows_apart_by_itself(int8: Path, windows: list[Encoding]) -> None:
    assert same_bytes(open_session(int8), windows) == "alone"


def test_every_graph_is_timed_in_every_size_at_equal_lengths_and_as_windows_come(windows: list[Encoding]) -> None:
    sessions = {"one": FakeSession(), "other": FakeSession()}
    costs = batch_costs(sessions, windows)
    assert [(cost.name, cost.windows) for cost in costs] == [(name, size) for name in sessions for size in SIZES * 4]
    assert sessions["one"].shapes == sessions["other"].shapes
    assert all(cost.ms_a_window > 0 for cost in costs)
    for cost in costs:
        assert (cost.padding_share > 0) == (cost.lengths == "mixed" and cost.windows > 1)
    ours = costs[: len(costs) // 2]
    assert [cost.lengths for cost in ours] == ["equal"] * 3 * len(SIZES) + ["mixed"] * len(SIZES)
    tokens = [cost.tokens for cost in ours if cost.lengths == "equal"]
    assert tokens == sorted(tokens)


def test_a_batch_of_equal_lengths_has_no_padding_and_the_size_that_it_says(windows: list[Encoding]) -> None:
    session = FakeSession()
    costs = batch_costs({"one": session}, windows)
    ran = {shape for shape in session.shapes if shape[0] == max(SIZES)}
    equal = {(cost.windows, int(cost.tokens)) for cost in costs if cost.lengths == "equal"}
    assert {(max(SIZES), tokens) for size, tokens in equal if size == max(SIZES)} <= ran
