"""Static graphs are what they say they are, and tokens scaled by themselves need no posts to be ranged by."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import CalibrationMethod

from data.rendering import render
from data.splits import Splits
from models.classifier import Classifier
from tests.training.test_export import pairs
from tests.training.test_quantize import HEADS, SAME, Batch, logits
from tests.training.tiny_encoder import LAYERS, READING
from training.errors import ExportError
from training.static import Feed, quantize_static_int8, quantize_tokens_int8, read_feeds, split_attention
from training.variants import FEED_FORWARD_DOWN


@pytest.fixture(scope="module")
def exact(fp32: Path, encoder: Path) -> Classifier:
    return Classifier(fp32, encoder / "tokenizer.json", READING)


@pytest.fixture(scope="module")
def feeds(exact: Classifier, splits: Splits) -> list[Feed]:
    return read_feeds(exact, splits.part("train")[:30])


@pytest.fixture(scope="module")
def by_token(fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantize_tokens_int8(fp32, tmp_path_factory.mktemp("by-token") / "int8.onnx")


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


def test_scaled_by_token_every_weight_is_multiplied_in_8_bits(fp32: Path, by_token: Path) -> None:
    kinds = [node.op_type for node in onnx.load(str(by_token)).graph.node]
    assert kinds.count("MatMulIntegerToFloat") == kinds.count("QuantizeLinear") == 4 * LAYERS + HEADS
    assert not {"MatMul", "Gemm", "Attention"} & set(kinds)
    assert by_token.stat().st_size < fp32.stat().st_size


def test_scaled_by_token_says_nearly_what_fp32_says(
    by_token: Path, exact: Classifier, encoder: Path, splits: Splits
) -> None:
    rounded = Classifier(by_token, encoder / "tokenizer.json", READING)
    posts = [exact.encode(render(post)) for post in splits.posts]
    ours, theirs = rounded.logits(posts), exact.logits(posts)
    assert 0 < np.abs(ours.route - theirs.route).max() < 0.1 * np.ptp(theirs.route)


@settings(max_examples=10)
@given(batch=st.lists(pairs, min_size=2, max_size=4))
def test_scaled_by_token_a_window_does_not_see_its_neighbours(by_token: Path, batch: Batch) -> None:
    # The same place in a batch of the same shape, or sums would be taken in another order whatever stands beside it.
    length = min(min(len(text), len(context)) for text, context in batch)
    equal = [(text[:length], context[:length]) for text, context in batch]
    model = onnx.load(str(by_token))
    together = logits(model, equal)
    for place, pair in enumerate(equal):
        among_others = logits(model, [pair] * len(equal))
        assert together[place].tobytes() == among_others[place].tobytes()


def test_scaled_by_token_a_graph_that_was_not_fused_is_refused(fp32: Path, tmp_path: Path) -> None:
    model = onnx.load(str(fp32))
    next(node for node in model.graph.node if node.op_type == "EmbedLayerNormalization").op_type = "Other"
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ExportError, match="0 fused embedding nodes, wanted 1"):
        quantize_tokens_int8(tmp_path / "other.onnx", tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()
