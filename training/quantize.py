"""The fp32 graph as INT8, small and fast, with the same answer for a post alone and in any batch.

Weights are signed 8 bit, per output column; the word embeddings are signed 8 bit, per row. Activations are scaled
when the graph runs (dynamic). Plain dynamic quantisation takes one scale for a whole post, and a few tokens with
huge activations then cost all others their precision. So every token's activations are divided by their own largest
value before each MatMul and multiplied back after it ("per-token" scaling, as in ZeroQuant, arXiv 2206.01861,
section 3.2): what it brought against plain dynamic and static quantisation was measured in `training/LOG.md`.

One scale for a whole batch would still make a score depend on the other posts, so the classifier runs every window
alone and unpadded (`docs/decisions/0002`).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.errors import ExportError

INT8_LARGEST = 127
OPERATORS = ("MatMul", "Attention")
EXCLUSIONS = (
    "",
    r"layer\.0/output/dense",
    r"layer\.[01]/output/dense",
    r"layer\.[012]/output/dense",
    r"layer\.\d+/output/dense",
    r"/output/dense|/intermediate/dense",
)
"""What is left in fp32 until the gates are passed, from nothing over the feed-forward outputs (whose inputs have the
largest outliers; the earliest layers first, through whose errors all others compute) to all MatMuls outside the fused
attention: expressions that node names are searched for, the empty one matching none."""
_SMALLEST_SCALE = 1e-6
"""Below this a token's activations are as good as zero; it only keeps the division defined."""


def quantize_rows(table: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A table `[n, d]` as signed 8-bit rows `[n, d]` and the scale of each row `[n, 1]`."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), _SMALLEST_SCALE) / INT8_LARGEST
    rows = np.clip(np.rint(table / scales), -INT8_LARGEST, INT8_LARGEST).astype(np.int8)
    return rows, scales.astype(np.float32)


def _add(graph: GraphProto, name: str, values: npt.NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _take(graph: GraphProto, name: str) -> npt.NDArray[np.float32]:
    for tensor in graph.initializer:
        if tensor.name == name:
            values = numpy_helper.to_array(tensor)
            graph.initializer.remove(tensor)
            return np.asarray(values, dtype=np.float32)
    raise ExportError(f"The graph has no weights named {name!r}. Export it again with `python -m training run`.")


def replace_node(graph: GraphProto, old: NodeProto, new: list[NodeProto]) -> None:
    """Nothing; `new` stand in the place of `old`."""
    at = list(graph.node).index(old)
    graph.node.remove(old)
    for offset, node in enumerate(new):
        graph.node.insert(at + offset, node)


def shrink_embeddings(model: ModelProto) -> None:
    """Nothing; the fused embedding of `model` reads 8-bit rows and their scales instead of the fp32 table.

    The fused node can only take one scale for the whole table, which alone flipped 0.9 % of the routes.
    """
    graph = model.graph
    fused = [node for node in graph.node if node.op_type == "EmbedLayerNormalization"]
    if len(fused) != 1:
        raise ExportError(
            f"The graph has {len(fused)} fused embedding nodes, wanted 1: it is not a BERT-like graph as "
            '`training.export` fuses it. Set precision = "fp32" in the recipe to serve it as it is.'
        )
    (node,) = fused
    ids, types, words, positions, kinds, gamma, beta, mask = node.input[:8]
    rows, scales = quantize_rows(_take(graph, words))
    epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
    rows_name, scales_name = _add(graph, "words_int8", rows), _add(graph, "words_scale", scales)
    zero, one = _add(graph, "zero", np.array([0])), _add(graph, "one", np.array([1]))
    make = helper.make_node
    replace_node(
        graph,
        node,
        [
            make("Gather", [rows_name, ids], ["word_rows"], axis=0),
            make("Cast", ["word_rows"], ["word_values"], to=TensorProto.FLOAT),
            make("Gather", [scales_name, ids], ["word_scales"], axis=0),
            make("Mul", ["word_values", "word_scales"], ["word_embeddings"]),
            make("Shape", [ids], ["tokens"], start=1, end=2),
            make("Slice", [positions, zero, "tokens", zero], ["position_embeddings"]),
            make("Gather", [kinds, types], ["kind_embeddings"], axis=0),
            make("Add", ["word_embeddings", "position_embeddings"], ["placed_embeddings"]),
            make("Add", ["placed_embeddings", "kind_embeddings"], ["embeddings"]),
            make("LayerNormalization", ["embeddings", gamma, beta], [node.output[0]], axis=-1, epsilon=epsilon),
            make("ReduceSum", [mask, one], [node.output[1]], keepdims=0),
        ],
    )


def scale_tokens(model: ModelProto) -> int:
    """How many MatMuls of `model` now see every token divided by its largest activation, and multiply it back."""
    graph = model.graph
    axis, floor = (
        _add(graph, "last_axis", np.array([-1])),
        _add(graph, "floor", np.array(_SMALLEST_SCALE, dtype=np.float32)),
    )
    matmuls = [node for node in graph.node if node.op_type == "MatMul"]
    make = helper.make_node
    for place, node in enumerate(matmuls):
        values, output = node.input[0], node.output[0]
        size, largest, scale, scaled, product = (
            f"{what}_{place}" for what in ("size", "largest", "scale", "scaled", "product")
        )
        inner = NodeProto()
        inner.CopyFrom(node)
        inner.input[0], inner.output[0] = scaled, product
        replace_node(
            graph,
            node,
            [
                make("Abs", [values], [size]),
                make("ReduceMax", [size, axis], [largest], keepdims=1),
                make("Max", [largest, floor], [scale]),
                make("Div", [values, scale], [scaled]),
                inner,
                make("Mul", [product, scale], [output]),
            ],
        )
    return len(matmuls)


@contextmanager
def quietly() -> Iterator[None]:
    """Nothing; inside the block onnxruntime's quantiser neither prints nor recommends on the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        root.setLevel(level)


def nodes_matching(model: ModelProto, expression: str) -> list[str]:
    """The names of the nodes in which `expression` is found; an empty one is found in none."""
    return [node.name for node in model.graph.node if expression and re.search(expression, node.name)]


def save_dynamic(
    model: ModelProto, int8: Path, *, kept: Sequence[str] = (), operators: Sequence[str] = OPERATORS
) -> Path:
    """The path `int8`, which then holds `model` with its `operators` in 8 bits but for the nodes named in `kept`."""
    with quietly():
        quantize_dynamic(
            model,
            str(int8),
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(operators),
            per_channel=True,
            nodes_to_exclude=list(kept),
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    return int8


def quantize_int8(fp32: Path, int8: Path, excluded: str = "") -> Path:
    """The path `int8`, which then holds the fused graph `fp32` in 8 bits but for the nodes that `excluded` names.

    Raises:
        ExportError: when the graph is not a fused BERT-like graph.
    """
    model = onnx.load(str(fp32))
    shrink_embeddings(model)
    scale_tokens(model)
    return save_dynamic(model, int8, kept=nodes_matching(model, excluded))
