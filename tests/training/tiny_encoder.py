"""A BERT of two layers and 32 numbers a token with random weights, saved as the hub saves one."""

from pathlib import Path
from string import ascii_lowercase, digits

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel
from transformers.utils import logging as transformers_logging

from models.bundle import Reading
from tests.training.tiny_posts import WORDS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FACTS = ("x", "user", "link", "followers", "under", "1k", "10k", "50k", "to", "not", "verified", "bio", "a", "an")
VOCABULARY = tuple(
    dict.fromkeys((*SPECIAL, *".:[]@", *WORDS, *FACTS, *digits, *(f"##{piece}" for piece in ascii_lowercase + digits)))
)
READING = Reading(window_tokens=48, overlap_tokens=4, context_tokens=24, max_windows=3)
LAYERS, WIDTH = 2, 32


def write_tokenizer(path: Path) -> None:
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


def write_encoder(directory: Path) -> None:
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=READING.window_tokens,
        hidden_dropout_prob=0.1,
    )
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(directory)
    write_tokenizer(directory / "tokenizer.json")
