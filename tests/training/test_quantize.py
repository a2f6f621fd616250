"""INT8: rows keep what they hold, rewriting changes nothing, what is left out stays fp32, a post gets its own bytes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import ModelProto, numpy_helper

from data.rendering import Rendered, render
from data.splits import Splits
from models.classifier import INPUTS, OUTPUTS, Classifier, Encoded, session_options
from tests.models.tiny_model import write_tiny_model
from tests.training.test_export import padded, pairs
from tests.training.tiny_encoder import LAYERS, READING
from tests.training.tiny_posts import WORDS
from training.errors import ExportError
from training.quantize import (
    EXCLUSIONS,
    INT8_LARGEST,
    nodes_matching,
    quantize_int8,
    quantize_rows,
    save_dynamic,
    scale_tokens,
    shrink_embeddings,
)

HEADS = 2
SAME = 1e-5
"""What another order of fp32 sums may change in a logit."""
Batch = list[tuple[list[int], list[int]]]
tables = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False),
)


def logits(model: ModelProto, batch: Batch) -> npt.NDArray[np.float32]:
    """The logits `[n, 25]` of a graph in memory."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    return np.concatenate(session.run(OUTPUTS, dict(zip(INPUTS, padded(batch), strict=True))), axis=1)


def operators(path: Path) -> dict[str, str]:
    """The operator of every node of a graph that has a name."""
    return {node.name: node.op_type for node in onnx.load(str(path)).graph.node}


@given(table=tables)
def test_a_row_is_off_by_half_a_step_at_most(table: npt.NDArray[np.float32]) -> None:
    rows, scales = quantize_rows(table)
    assert rows.shape == table.shape
    assert rows.dtype == np.int8
    assert scales.shape == (len(table), 1)
    assert scales.dtype == np.float32
    assert (np.abs(rows.astype(int)) <= INT8_LARGEST).all()
    off = np.abs(rows * scales.astype(np.float64) - table)
    assert (off <= scales * (0.5 + 1e-4)).all()


@given(table=tables)
def test_the_largest_value_of_a_row_uses_the_whole_range(table: npt.NDArray[np.float32]) -> None:
    rows, _ = quantize_rows(table)
    largest = np.abs(table).max(axis=1)
    assert (np.abs(rows.astype(int)).max(axis=1)[largest > 1e-3] == INT8_LARGEST).all()


def test_a_row_does_not_suffer_from_its_neighbours() -> None:
    table = np.array([[0.01, -0.02], [1000.0, 3.0]], dtype=np.float32)
    rows, scales = quantize_rows(table)
    np.testing.assert_allclose(rows[0] * scales[0], table[0], atol=1e-4)


@settings(max_examples=20)
@given(batch=st.lists(pairs, min_size=1, max_size=4))
def test_scaling_tokens_changes_no_answer(fp32: Path, batch: Batch) -> None:
    model = onnx.load(str(fp32))
    before = logits(model, batch)
    assert scale_tokens(model) == 3 * LAYERS  # attention's output and both of the feed-forward network
    np.testing.assert_allclose(logits(model, batch), before, atol=SAME)


@settings(max_examples=20)
@given(batch=st.lists(pairs, min_size=1, max_size=4))
def test_shrunk_embeddings_are_those_of_the_table_with_rounded_rows(fp32: Path, batch: Batch) -> None:
    model, rounded = onnx.load(str(fp32)), onnx.load(str(fp32))
    (embedding,) = (node for node in rounded.graph.node if node.op_type == "EmbedLayerNormalization")
    table = next(tensor for tensor in rounded.graph.initializer if tensor.name == embedding.input[2])
    rows, scales = quantize_rows(numpy_helper.to_array(table))
    table.CopyFrom(numpy_helper.from_array(rows * scales, table.name))
    shrink_embeddings(model)
    scale_tokens(model)
    assert all(node.op_type != "EmbedLayerNormalization" for node in model.graph.node)
    np.testing.assert_allclose(logits(model, batch), logits(rounded, batch), atol=SAME)


def test_int8_says_nearly_what_fp32_says(fp32: Path, classifier: Classifier, encoder: Path, splits: Splits) -> None:
    exact = Classifier(fp32, encoder / "tokenizer.json", READING)
    posts = [exact.encode(render(post)) for post in splits.posts]
    ours, theirs = classifier.logits(posts), exact.logits(posts)
    assert 0 < np.abs(ours.route - theirs.route).max() < 0.1 * np.ptp(theirs.route)
    assert (ours.route.argmax(axis=1) != theirs.route.argmax(axis=1)).mean() <= 0.02


def test_the_int8_graph_multiplies_in_8_bits_and_is_smaller(fp32: Path, int8: Path) -> None:
    kinds = list(operators(int8).values())
    assert kinds.count("QAttention") == LAYERS
    assert sum("MatMulInteger" in kind for kind in kinds) == 3 * LAYERS + HEADS
    assert not {"MatMul", "Gemm", "Attention"} & set(kinds)
    assert int8.stat().st_size < fp32.stat().st_size
    assert sorted(path.name for path in int8.parent.iterdir()) == ["fp32.onnx", "int8.onnx"]


@pytest.mark.parametrize("excluded", EXCLUSIONS)
def test_what_is_excluded_stays_in_fp32(fp32: Path, tmp_path: Path, excluded: str) -> None:
    names = nodes_matching(onnx.load(str(fp32)), excluded)
    kinds = operators(quantize_int8(fp32, tmp_path / "int8.onnx", excluded))
    assert {name for name, kind in kinds.items() if kind == "MatMul"} == set(names)
    assert sum("MatMulInteger" in kind for kind in kinds.values()) == 3 * LAYERS + HEADS - len(names)


def test_exclusions_go_from_nothing_to_more_and_more(fp32: Path) -> None:
    left = [set(nodes_matching(onnx.load(str(fp32)), excluded)) for excluded in EXCLUSIONS]
    assert left[0] == set()
    assert all(fewer <= more for fewer, more in pairwise(left))
    assert len(left[-1]) == 3 * LAYERS


def test_a_graph_without_a_fused_embedding_is_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "other.onnx")
    with pytest.raises(ExportError) as caught:
        quantize_int8(tmp_path / "other.onnx", tmp_path / "int8.onnx")
    assert str(caught.value) == (
        "The graph has 0 fused embedding nodes, wanted 1: it is not a BERT-like graph as `training.export` fuses it. "
        'Set precision = "fp32" in the recipe to serve it as it is.'
    )
    assert not (tmp_path / "int8.onnx").exists()


def test_a_graph_without_its_table_of_words_is_refused(fp32: Path) -> None:
    model = onnx.load(str(fp32))
    (embedding,) = (node for node in model.graph.node if node.op_type == "EmbedLayerNormalization")
    name, embedding.input[2] = embedding.input[2], "elsewhere"
    assert name != "elsewhere"
    with pytest.raises(ExportError, match="The graph has no weights named 'elsewhere'"):
        shrink_embeddings(model)


def test_quantising_says_nothing(fp32: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_dynamic(onnx.load(str(fp32)), tmp_path / "int8.onnx")
    assert capfd.readouterr() == ("", "")


texts = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)
posts = st.builds(Rendered, text=texts, context=st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))


def _bytes(classifier: Classifier, batch: Sequence[Encoded]) -> list[bytes]:
    said = classifier.logits(batch)
    return [route.tobytes() + intent.tobytes() for route, intent in zip(said.route, said.intent, strict=True)]


@given(batch=st.lists(posts, min_size=1, max_size=6))
def test_a_post_gets_the_same_bytes_alone_and_in_any_batch(classifier: Classifier, batch: list[Rendered]) -> None:
    encoded = [classifier.encode(post) for post in batch]
    assert _bytes(classifier, encoded) == [_bytes(classifier, [post])[0] for post in encoded]


@given(batch=st.lists(pairs, min_size=1, max_size=5), extra=st.integers(0, 30))
def test_a_window_gets_the_same_bytes_at_any_padding(classifier: Classifier, batch: Batch, extra: int) -> None:
    wide = tuple(np.pad(array, ((0, 0), (0, extra))) for array in padded(batch))
    route, intent = classifier.run(*wide)
    for row, pair in enumerate(batch):
        alone_route, alone_intent = classifier.run(*padded([pair]))
        assert route[row].tobytes() == alone_route[0].tobytes()
        assert intent[row].tobytes() == alone_intent[0].tobytes()


def test_the_graph_alone_would_not_keep_a_post_from_its_neighbours(int8: Path) -> None:
    # Without this the two tests above could not fail: one scale for all rows makes a score depend on the others.
    model = onnx.load(str(int8))
    draw = np.random.default_rng(0)
    batch: Batch = [
        (draw.integers(5, 100, length).tolist(), draw.integers(5, 100, 4).tolist()) for length in (3, 9, 15, 20)
    ]
    together = logits(model, batch)
    alone = np.concatenate([logits(model, [pair]) for pair in batch])
    assert together.tobytes() != alone.tobytes()


def test_threads_that_share_a_classifier_get_the_same_bytes(classifier: Classifier, splits: Splits) -> None:
    encoded = [classifier.encode(render(post)) for post in splits.posts[:20]]
    alone = _bytes(classifier, encoded)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: _bytes(classifier, encoded), range(8))) == [alone] * 8
