"""How text becomes tokens, the same in training and in service: windows of a post, and what of its context is read."""

from pathlib import Path

from tokenizers import Tokenizer

from models.bundle import Reading


def load_tokenizer(path: Path, reading: Reading) -> Tokenizer:
    """The tokenizer of a bundle, its windows set once: text cut into windows, the context never."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=reading.window_tokens, stride=reading.overlap_tokens, strategy="only_first")
    return tokenizer


def cut_context(tokenizer: Tokenizer, context: str, limit: int) -> str:
    """The context up to its first `limit` tokens, as it is read in training and in service."""
    if len(context.encode()) <= limit:  # a token is a byte or more; a Korean syllable becomes three tokens
        return context
    tokens = tokenizer.encode(context, add_special_tokens=False)
    return context[: tokens.offsets[limit][0]] if len(tokens.ids) > limit else context
