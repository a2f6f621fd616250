"""The fp32 graph as INT8 with activation ranges fixed beforehand (static QDQ): the way that was measured and not taken.

Kept because the choice rests on it: `training.comparison` makes and measures these graphs, `docs/decisions/0002` says
what came of it. Nothing that ships is made here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper
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
from training.quantize import nodes_matching, quietly, replace_node, shrink_embeddings

PERCENTILE = 99.99
"""What is kept of a range: a ten-thousandth of all activations is cut off, half of it at each end."""

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
