"""The trained network as a fused fp32 ONNX graph, proven to compute what torch computes.

Exported by torch's tracing exporter, then fused by onnxruntime's BERT optimiser (one node for attention, GELU with
its bias, layer norm with its residual): `docs/decisions/0008` compares it with the newer exporter, whose attention
is not fused.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from data.post import Post
from data.rendering import render
from models.bundle import Reading
from models.classifier import INPUTS, OUTPUTS, Classifier
from training.errors import ExportError
from training.network import Network

OPSET = 18
FP32_FILE = "fp32.onnx"


def trace(network: Network, path: Path) -> Path:
    """The path, which then holds the graph of `network` as torch writes it: nothing fused yet."""
    ids = torch.tensor([[2, 5, 3, 6, 3], [2, 7, 8, 3, 0]])  # any will do; small ones are in every vocabulary
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    types = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    with warnings.catch_warnings():
        # torch calls this exporter legacy; why it is used all the same stands in docs/decisions/0008.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (ids, mask, types),
            str(path),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "n", 1: "t"} for name in INPUTS},
            opset_version=OPSET,
            dynamo=False,
        )
    return path


def export_fp32(network: Network, directory: Path) -> Path:
    """The path of the fused fp32 graph of `network` in `directory`.

    Raises:
        ExportError: when attention was not fused in every layer, which would make the graph slow.
    """
    traced, fused = trace(network, directory / "traced.onnx"), directory / FP32_FILE
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    config = network.encoder.config
    model = optimize_model(
        str(traced),
        "bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
        optimization_options=FusionOptions("bert"),
    )
    layers, found = config.num_hidden_layers, model.get_fused_operator_statistics()["Attention"]
    if found != layers:
        raise ExportError(
            f"The graph {traced} was not fused: attention in {found} of {layers} layers. Wanted all of them. "
            "Use the pinned versions of torch, transformers and onnxruntime (constraints.txt)."
        )
    model.save_model_to_file(str(fused))
    traced.unlink()
    return fused


@torch.no_grad()
def difference(network: Network, graph: Path, tokenizer: Path, reading: Reading, posts: Sequence[Post]) -> float:
    """The largest absolute difference of any logit between torch and the graph over `posts`, run one by one."""
    classifier = Classifier(graph, tokenizer, reading)
    largest = 0.0
    for post in posts:
        window = classifier.encode(render(post)).windows[0]
        arrays = [np.array([part], dtype=np.int64) for part in (window.ids, window.attention_mask, window.type_ids)]
        exported = classifier.run(*arrays)
        trained = network(*(torch.from_numpy(array) for array in arrays))
        for ours, theirs in zip(exported, trained, strict=True):
            largest = max(largest, float(np.abs(ours - theirs.numpy()).max()))
    return largest
