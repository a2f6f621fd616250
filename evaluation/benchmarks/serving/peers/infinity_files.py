"""Lays out the model as infinity reads it: `python -m evaluation.benchmarks.serving.peers.infinity_files DIRECTORY`.

infinity's classifier wants one output named `logits`, so the graph's output `route` is renamed; its nodes and weights
stay as they are, the head for the intent included.
"""

import json
import shutil
import sys
from pathlib import Path

import onnx

from evaluation.benchmarks.serving.peers.machine import bundle
from evaluation.benchmarks.serving.peers.model import ROUTES, WINDOW_TOKENS


def rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    """Nothing; the graph's output `old` is named `new`, with whatever makes it and reads it."""
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for output in model.graph.output:
        if output.name == old:
            output.name = new


CONFIGURATION = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "id2label": dict(enumerate(ROUTES)),
    "label2id": {name: place for place, name in enumerate(ROUTES)},
}
TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": WINDOW_TOKENS}
SPECIAL = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    graph = onnx.load(bundle() / "model.onnx")
    rename_output(graph, "route", "logits")
    onnx.save(graph, directory / "model.onnx")
    shutil.copyfile(bundle() / "tokenizer.json", directory / "tokenizer.json")
    for name, content in (
        ("config.json", CONFIGURATION),
        ("tokenizer_config.json", TOKENIZER | SPECIAL),
        ("special_tokens_map.json", SPECIAL),
    ):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
