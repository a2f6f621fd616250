"""A classifier small enough to be made in a test: a bag of words in ONNX and a WordPiece tokenizer of 100 entries.

The graph has the shape of a real one (three inputs, masked mean, two heads) and weights that can be read: each word
of `MEANING` pulls towards its labels, each token type and each other word a little, in a way fixed by a seed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase, digits

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from data.taxonomy import BUILT_IN, ROUTES, Intent, Route, Taxonomy

Meaning = Mapping[str, tuple[Route, Intent]]
MEANING: Meaning = {
    "parcel": ("simple", "order_status"),
    "thanks": ("simple", "praise"),
    "again": ("complex", "service_quality"),
    "injured": ("sensitive", "safety_health"),
    "subscribers": ("influencer", "product_info"),
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("where", "is", "my", "hello", "there", "followers", "under", "bio", "reply", "to", "user", *MEANING)
JAMO = ("\u110c", "\u1165", "\u11bc")
"""The three letters into which the normalizer takes the Korean syllable U+C815 apart."""
PIECES = (*ascii_lowercase, *digits, *JAMO)
VOCABULARY = (*SPECIAL, *".,:[]@#", *WORDS, *PIECES, *(f"##{piece}" for piece in PIECES))
OPSET, IR_VERSION = 17, 9
"""Old enough for any onnxruntime of the last three years."""
LEAK = 1e-3
"""How much of the whole input, padding and other posts included, reaches every post: the graph is as badly behaved
as a dynamically quantised one, so that only running each post alone and unpadded gives it the same bytes."""


def write_tiny_tokenizer(path: Path) -> None:
    ids = {token: place for place, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.save(str(path))


def _weights(
    meaning: Meaning, intents: Sequence[Intent]
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    random = np.random.default_rng(7)
    size = len(VOCABULARY)
    heads = {
        "route_weight": random.normal(0.0, 0.1, (size, len(ROUTES))),
        "intent_weight": random.normal(0.0, 0.1, (size, len(intents))),
    }
    for word, (route, intent) in meaning.items():
        heads["route_weight"][VOCABULARY.index(word), ROUTES.index(route)] = 40.0
        heads["intent_weight"][VOCABULARY.index(word), intents.index(intent)] = 40.0
    weights = {"words": np.eye(size), "types": random.normal(0.0, 0.01, (2, size)), **heads}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def write_tiny_model(path: Path, meaning: Meaning = MEANING, taxonomy: Taxonomy = BUILT_IN) -> None:
    """The graph, written to `path`; `meaning` says otherwise what the words of `MEANING` mean."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["type"]),
        helper.make_node("Add", ["word", "type"], ["token"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask_column"]),
        helper.make_node("Mul", ["token", "mask_column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "second"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "second"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("ReduceSum", ["token"], ["everything"], keepdims=0),
        helper.make_node("Mul", ["everything", "leak"], ["leaked"]),
        helper.make_node("Add", ["mean", "leaked"], ["sentence"]),
        helper.make_node("MatMul", ["sentence", "route_weight"], ["route"]),
        helper.make_node("MatMul", ["sentence", "intent_weight"], ["intent"]),
    ]
    constants = {
        **_weights(meaning, taxonomy.names),
        "last": np.array([2]),
        "second": np.array([1]),
        "leak": np.array(LEAK, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs=[
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        outputs=[
            helper.make_tensor_value_info("route", TensorProto.FLOAT, ["batch", len(ROUTES)]),
            helper.make_tensor_value_info("intent", TensorProto.FLOAT, ["batch", len(taxonomy.intents)]),
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
