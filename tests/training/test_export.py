"""The exported graph computes what torch computes, and a graph that was not fused is refused."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.splits import Splits
from data.taxonomy import BUILT_IN
from models.classifier import INPUTS, OUTPUTS, session_options
from tests.training.tiny_encoder import LAYERS, READING, VOCABULARY
from training.errors import ExportError
from training.export import FP32_FILE, difference, export_fp32
from training.network import Network

CLOSE = 1e-4
"""The design's line for fp32 against torch."""
Inputs = tuple[npt.NDArray[np.int64], ...]
pairs = st.tuples(
    st.lists(st.integers(5, len(VOCABULARY) - 1), min_size=1, max_size=20),
    st.lists(st.integers(5, len(VOCABULARY) - 1), min_size=1, max_size=20),
)


def padded(batch: list[tuple[list[int], list[int]]]) -> Inputs:
    """Ids, mask and types `[n, t]` of pairs of token ids, padded on the right."""
    arrays = np.zeros((3, len(batch), 3 + max(len(text) + len(context) for text, context in batch)), dtype=np.int64)
    for row, (text, context) in enumerate(batch):
        ids = [2, *text, 3, *context, 3]
        arrays[0, row, : len(ids)] = ids
        arrays[1, row, : len(ids)] = 1
        arrays[2, row, len(text) + 2 : len(ids)] = 1
    return tuple(arrays)


def run(session: onnxruntime.InferenceSession, inputs: Inputs) -> list[npt.NDArray[np.float32]]:
    outputs: list[npt.NDArray[np.float32]] = session.run(OUTPUTS, dict(zip(INPUTS, inputs, strict=True)))
    return outputs


@pytest.fixture(scope="module")
def session(fp32: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(fp32), session_options())


@given(batch=st.lists(pairs, min_size=1, max_size=5))
def test_the_fused_graph_computes_what_torch_computes(
    network: Network, session: onnxruntime.InferenceSession, batch: list[tuple[list[int], list[int]]]
) -> None:
    inputs = padded(batch)
    with torch.no_grad():
        trained = network(*(torch.from_numpy(array) for array in inputs))
    for ours, theirs in zip(run(session, inputs), trained, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=CLOSE)


def test_every_layer_of_the_graph_has_one_fused_attention(fp32: Path) -> None:
    operators = [node.op_type for node in onnx.load(str(fp32)).graph.node]
    assert operators.count("Attention") == LAYERS
    assert "Softmax" not in operators
    assert operators.count("EmbedLayerNormalization") == 1


def test_only_the_fused_graph_is_left(fp32: Path) -> None:
    assert fp32.name == FP32_FILE
    assert not (fp32.parent / "traced.onnx").exists()


def test_the_difference_to_torch_is_measured_on_posts(
    network: Network, fp32: Path, encoder: Path, splits: Splits
) -> None:
    posts = splits.part("development")[:5]
    assert 0 <= difference(network, fp32, encoder / "tokenizer.json", READING, posts) < CLOSE


def test_a_graph_of_other_weights_differs_from_torch(
    network: Network, fp32: Path, encoder: Path, splits: Splits, tmp_path: Path
) -> None:
    model = onnx.load(str(fp32))
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "intent.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.25), bias.name))
    onnx.save(model, str(tmp_path / "changed.onnx"))
    off = difference(
        network, tmp_path / "changed.onnx", encoder / "tokenizer.json", READING, splits.part("development")[:2]
    )
    assert off == pytest.approx(0.25, abs=CLOSE)


def test_a_graph_whose_attention_was_not_fused_is_refused(encoder: Path, tmp_path: Path) -> None:
    trainable = Network(
        encoder, len(BUILT_IN.intents), dropout=0.0, attention="sdpa"
    ).eval()  # the form that trains fast, and that fusion does not know
    with pytest.raises(ExportError) as caught:
        export_fp32(trainable, tmp_path)
    assert str(caught.value) == (
        f"The graph {tmp_path / 'traced.onnx'} was not fused: attention in 0 of 2 layers. Wanted all of them. "
        "Use the pinned versions of torch, transformers and onnxruntime (constraints.txt)."
    )
    assert not (tmp_path / FP32_FILE).exists()
