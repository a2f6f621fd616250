"""The fp32 graph as INT8 with activation ranges fixed beforehand: ways that were measured and not taken.

Kept because the choice rests on them: `training.plane` makes and measures these graphs, `docs/decisions/0002` and
`docs/model-speed.md` say what came of it. Nothing that ships is made here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from data.post import LabelledPost
from data.rendering import render
from models.classifier import INPUTS, Classifier
from training.quantize import (
    INT8_LARGEST,
    nodes_matching,
    quantize_rows,
    quietly,
    replace_node,
    scale_tokens,
    shrink_embeddings,
)

PERCENTILE = 99.99
"""What is kept of a range: a ten-thousandth of all activations is cut off, half of it at each end."""

_ZERO_POINT = 128
"""Where unsigned 8 bits put the zero of a range that is as long below it as above."""

Feed = Mapping[str, npt.NDArray[np.int64]]


class _Feeds(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime publishes no types
    """Posts for onnxruntime's calibrators, which ask for a range and then for one feed after the other."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = feeds
        self._asked = iter(feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._asked = iter(self._feeds[start_index:end_index])

    def get_next(self) -> Feed | None:
        return next(self._asked, None)


def read_feeds(classifier: Classifier, posts: Sequence[LabelledPost]) -> list[Feed]:
    """The first window of each post as the graph takes it."""
    windows = [classifier.encode(render(post)).windows[0] for post in posts]
    return [
        {
            name: np.array([part], dtype=np.int64)
            for name, part in zip(INPUTS, (window.ids, window.attention_mask, window.type_ids), strict=True)
        }
        for window in windows
    ]


def split_attention(model: ModelProto) -> None:
    """Nothing; every fused attention of `model` becomes a MatMul, which static quantisation reaches, and the rest."""
    make = helper.make_node
    for place, node in enumerate([node for node in model.graph.node if node.op_type == "Attention"]):
        values, weights, bias, mask = node.input[:4]
        (heads,) = (attribute.i for attribute in node.attribute if attribute.name == "num_heads")
        joined, parts = f"projected_{place}", [f"{part}_{place}" for part in ("query", "key", "value")]
        replace_node(
            model.graph,
            node,
            [
                make("MatMul", [values, weights], [joined], name=f"{node.name}/projection"),
                make("Split", [joined], parts, axis=-1, num_outputs=3),
                make(
                    "MultiHeadAttention",
                    [*parts, bias, mask],
                    [node.output[0]],
                    domain="com.microsoft",
                    num_heads=heads,
                ),
            ],
        )


def _type_inputs(model: ModelProto) -> None:
    """Nothing; the first inputs of all MatMuls are declared as floats, which onnx cannot infer behind fused nodes."""
    for name in {node.input[0] for node in model.graph.node if node.op_type == "MatMul"}:
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def quantize_static_int8(
    fp32: Path, int8: Path, feeds: Sequence[Feed], method: CalibrationMethod, excluded: str = ""
) -> Path:
    """The path `int8`, which then holds `fp32` with all weight MatMuls in static QDQ, activations ranged by `feeds`.

    Weights are signed and per column, activations unsigned; embeddings as in `quantize_int8`.
    """
    model = onnx.load(str(fp32))
    shrink_embeddings(model)
    split_attention(model)
    _type_inputs(model)
    with quietly():
        quantize_static(
            model,
            str(int8),
            _Feeds(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=nodes_matching(model, excluded),
            calibrate_method=method,
            extra_options={
                "CalibPercentile": PERCENTILE,
                "CalibStridedMinMax": 1,  # post by post: the calibrator cannot stack posts of unlike length
                "OpTypesToExcludeOutputQuantization": ["MatMul"],  # what follows a MatMul here is fp32
            },
        )
    return int8


def _multiply_scaled(
    node: NodeProto, weight: npt.NDArray[np.float32], model: ModelProto, place: int
) -> list[NodeProto]:
    """What takes the place of a MatMul whose activations lie between -1 and 1: rounded, multiplied in integers."""
    columns, scales = quantize_rows(np.ascontiguousarray(weight.T))
    names = [f"{what}_{place}" for what in ("weight_int8", "weight_scale", "rounded")]
    initializers = model.graph.initializer
    initializers.append(numpy_helper.from_array(np.ascontiguousarray(columns.T), names[0]))
    initializers.append(numpy_helper.from_array(scales[:, 0], names[1]))
    step, zero = "token_step", "token_zero"
    return [
        helper.make_node("QuantizeLinear", [node.input[0], step, zero], [names[2]]),
        helper.make_node(
            "MatMulIntegerToFloat",
            [names[2], names[0], step, names[1], zero],
            [node.output[0]],
            name=node.name,
            domain="com.microsoft",
        ),
    ]


def _split_heads(model: ModelProto) -> None:
    """Nothing; every Gemm of `model`, its weights lying `[out, in]` as torch writes them, becomes a MatMul and an Add.

    An fp32 Gemm of one row takes another kernel than one of several, and so gives other bytes alone than in a batch.
    """
    initializers = model.graph.initializer
    weights = {tensor.name: tensor for tensor in initializers}
    for place, node in enumerate([node for node in model.graph.node if node.op_type == "Gemm"]):
        values, weight, bias = node.input
        turned, product = f"head_weight_{place}", f"head_product_{place}"
        transposed = np.ascontiguousarray(numpy_helper.to_array(weights[weight]).T)
        initializers.append(numpy_helper.from_array(transposed, turned))
        initializers.remove(weights[weight])
        replace_node(
            model.graph,
            node,
            [
                helper.make_node("MatMul", [values, turned], [product], name=node.name),
                helper.make_node("Add", [product, bias], [node.output[0]]),
            ],
        )


def quantize_tokens_int8(fp32: Path, int8: Path) -> Path:
    """The path `int8`, which then holds `fp32` with all weight MatMuls in 8 bits and every token scaled by itself.

    As `training.quantize.quantize_int8`, but what is left after the division lies between -1 and 1 whatever the post,
    so that one fixed step serves all: nothing depends on the other tokens of a batch, and nothing is fitted to posts.

    Raises:
        ExportError: when the graph is not a fused BERT-like graph.
    """
    model = onnx.load(str(fp32))
    shrink_embeddings(model)
    split_attention(model)
    _split_heads(model)
    scale_tokens(model)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    graph.initializer.append(numpy_helper.from_array(np.array(1 / INT8_LARGEST, dtype=np.float32), "token_step"))
    graph.initializer.append(numpy_helper.from_array(np.array(_ZERO_POINT, dtype=np.uint8), "token_zero"))
    for place, node in enumerate([node for node in graph.node if node.op_type == "MatMul"]):
        weight = weights[node.input[1]]
        replace_node(graph, node, _multiply_scaled(node, numpy_helper.to_array(weight), model, place))
        graph.initializer.remove(weight)
    onnx.save(model, str(int8))
    return int8
