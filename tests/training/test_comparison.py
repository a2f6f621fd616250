"""Every way to INT8 is made and measured on the same posts; static graphs are what they say they are."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import CalibrationMethod

from data.rendering import render
from data.splits import Splits
from data.taxonomy import ROUTES
from evaluation.metrics import macro_f1
from models.classifier import Classifier, Logits
from tests.training.test_export import pairs
from tests.training.test_quantize import SAME, Batch, logits
from tests.training.tiny_encoder import LAYERS, READING
from training.__main__ import main
from training.comparison import FEED_FORWARD_DOWN, Measured, compare_run, compare_ways, run_in_turns, table
from training.errors import TrainingError
from training.export import FP32_FILE
from training.recipe import Recipe, recipe_toml
from training.static import Feed, quantize_static_int8, read_feeds, split_attention

WAYS = [
    "fp32",
    "dynamic",
    "dynamic, embeddings by row",
    "dynamic, embeddings by row, scaled by token",
    "static, min-max",
    "static, 99.99 %",
    "static, min-max, feed-forward down in fp32",
    "static, 99.99 %, feed-forward down in fp32",
]


@pytest.fixture(scope="module")
def exact(fp32: Path, encoder: Path) -> Classifier:
    return Classifier(fp32, encoder / "tokenizer.json", READING)


@pytest.fixture(scope="module")
def feeds(exact: Classifier, splits: Splits) -> list[Feed]:
    return read_feeds(exact, splits.part("train")[:30])


@pytest.fixture(scope="module")
def measured(fp32: Path, encoder: Path, splits: Splits) -> tuple[Measured, ...]:
    return compare_ways(fp32, encoder / "tokenizer.json", READING, splits)


def test_all_ways_are_measured_fp32_first(measured: Sequence[Measured]) -> None:
    assert [each.name for each in measured] == WAYS
    assert (measured[0].route_flips_share, measured[0].intent_flips_share) == (0, 0)
    for each in measured:
        assert 0 < each.macro_f1 <= 1
        assert 0 <= each.augrc <= 0.5
        assert each.median_ms > 0


def test_fp32_gets_the_figures_of_its_own_answers(
    measured: Sequence[Measured], exact: Classifier, splits: Splits, fp32: Path
) -> None:
    posts = splits.part("development")
    said = exact.logits([exact.encode(render(post)) for post in posts]).route.argmax(axis=1)
    true = np.array([ROUTES.index(post.route) for post in posts])
    assert measured[0].macro_f1 == macro_f1(true, said, ROUTES)
    assert measured[0].size_bytes == fp32.stat().st_size


def test_8_bits_take_less_room_and_what_is_left_out_takes_more(measured: Sequence[Measured]) -> None:
    size_bytes = {each.name: each.size_bytes for each in measured}
    assert size_bytes["dynamic"] < size_bytes["fp32"]
    assert size_bytes["static, min-max"] < size_bytes["static, min-max, feed-forward down in fp32"]


def test_no_graph_is_left_behind(measured: Sequence[Measured], fp32: Path) -> None:
    assert not list(fp32.parent.glob(".ways-*"))


class FakeClassifier(Classifier):
    """Answers at once with its own number, and notes when it was asked."""

    def __init__(self, number: int, asked: list[int]) -> None:
        self.number, self.asked = number, asked

    def logits(self, posts: Sequence[object]) -> Logits:
        self.asked.append(self.number)
        rows = np.full((len(posts), 4), float(self.number), dtype=np.float32)
        return Logits(route=rows, intent=rows)


def test_ways_take_turns_post_by_post(exact: Classifier, splits: Splits) -> None:
    asked: list[int] = []
    posts = [exact.encode(render(post)) for post in splits.posts[:3]]
    outcomes = list(run_in_turns([FakeClassifier(0, asked), FakeClassifier(1, asked)], posts))
    assert asked == [0, 1] * 4  # once to warm up, then three posts
    assert [said.route[:, 0].tolist() for said, _ in outcomes] == [[0, 0, 0], [1, 1, 1]]


@settings(max_examples=20)
@given(batch=st.lists(pairs, min_size=1, max_size=4))
def test_attention_taken_apart_computes_the_same(fp32: Path, batch: Batch) -> None:
    model = onnx.load(str(fp32))
    before = logits(model, batch)
    split_attention(model)
    assert all(node.op_type != "Attention" for node in model.graph.node)
    np.testing.assert_allclose(logits(model, batch), before, atol=SAME)


@pytest.mark.parametrize("method", [CalibrationMethod.MinMax, CalibrationMethod.Percentile])
def test_a_static_graph_quantises_every_weight_but_the_excluded(
    fp32: Path, feeds: list[Feed], tmp_path: Path, method: CalibrationMethod
) -> None:
    for excluded, left in (("", 0), (FEED_FORWARD_DOWN, LAYERS)):
        graph = onnx.load(str(quantize_static_int8(fp32, tmp_path / "int8.onnx", feeds, method, excluded))).graph
        made = {output: node.op_type for node in graph.node for output in node.output}
        inputs = [[made.get(name) for name in node.input] for node in graph.node if node.op_type == "MatMul"]
        assert len(inputs) == 4 * LAYERS
        assert inputs.count(["DequantizeLinear", "DequantizeLinear"]) == 4 * LAYERS - left


def test_static_weights_have_a_scale_for_every_column(fp32: Path, feeds: list[Feed], tmp_path: Path) -> None:
    path = quantize_static_int8(fp32, tmp_path / "int8.onnx", feeds, CalibrationMethod.MinMax)
    graph = onnx.load(str(path)).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    weights = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in shapes]
    assert len(weights) == 4 * LAYERS
    assert all(shapes[node.input[1]] == shapes[node.input[0]][1:] for node in weights)


def test_the_command_prints_a_table_and_the_same_as_json(
    fp32: Path, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    code = main(["compare-int8", "--recipe", str(tmp_path / "mine.toml"), "--run-dir", str(fp32.parent)])
    captured = capsys.readouterr()
    assert code == 0
    said = [Measured(**way) for way in json.loads(captured.out)["ways"]]
    assert [each.name for each in said] == WAYS
    assert table(said) in captured.err


def test_a_table_has_a_line_for_every_way() -> None:
    way = Measured("static", 0.5, 0.125, 0.02, 0.1, 2_500_000, 3.5)
    assert table([way]).splitlines() == [
        "way     macro-F1   AUGRC  route flips  intent flips     MB  ms a post",
        "static    0.5000  0.1250        2.00%        10.00%    2.5       3.50",
    ]


def test_a_run_without_a_graph_is_answered_with_the_command_that_makes_one(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        compare_run(recipe, run=tmp_path)
    assert str(caught.value) == (
        f"The ways to INT8 cannot be compared: there is no graph {tmp_path / FP32_FILE}. Wanted: the fp32 graph that a "
        "run of the recipe 'tiny' leaves. Make it: python -m training run. Or name another run: --run-dir DIR."
    )
