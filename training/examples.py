"""Posts as the tensors that training eats: encoded pairs, author dropout, noise, batches of like length.

Everything random is drawn from (seed, epoch, step) alone, so that a run that was cut off goes on exactly as it
would have gone.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from data.post import LabelledPost
from data.rendering import Rendered, render
from data.taxonomy import ROUTES, Taxonomy

_CHUNK_BATCHES = 50
"""Batches are formed by length within chunks of this many: little padding, and still another mix every epoch."""
_PUNCTUATION = re.compile(r"[.,!?;:'\"-]+")
_LEADING_MENTIONS = re.compile(r"^(?:@user )+(?=\S)")
_TYPO_SHARE = 8
"""One word in so many is mistyped."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled post ready for training: rendered with and without its author."""

    full: Rendered
    anonymous: Rendered
    may_lose_author: bool
    route: int
    intent: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded inputs `[n, t]` and labels `[n]`. `share` says how much of its step's posts they are."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    routes: Tensor
    intents: Tensor
    share: float = 1.0


def split_batch(batch: Batch, tokens: int) -> list[Batch]:
    """The batch in pieces of at most so many tokens, padding among them, or of one post; each with its own share."""
    posts, length = batch.input_ids.shape
    at_once = max(1, tokens // length)
    pieces = []
    for start in range(0, posts, at_once):
        rows = slice(start, min(start + at_once, posts))
        pieces.append(
            Batch(
                input_ids=batch.input_ids[rows],
                attention_mask=batch.attention_mask[rows],
                token_type_ids=batch.token_type_ids[rows],
                routes=batch.routes[rows],
                intents=batch.intents[rows],
                share=batch.share * (rows.stop - rows.start) / posts,
            )
        )
    return pieces


def make_example(post: LabelledPost, taxonomy: Taxonomy) -> Example:
    """The example of one post. The author of an influencer's post is never dropped: the label may rest on it.

    Dropping it all the same taught the model to see influencers where nothing speaks of one (training/LOG.md).
    """
    return Example(
        full=render(post),
        anonymous=render(post.model_copy(update={"author": None})),
        may_lose_author=post.route != "influencer",
        route=ROUTES.index(post.route),
        intent=taxonomy.names.index(post.intent),
    )


def _mistype(word: str, draw: random.Random) -> str:
    at = draw.randrange(1, len(word) - 1)
    return draw.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[: at + 1] + word[at:],
        ]
    )


def _typos(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    for _ in range(max(1, len(words) // _TYPO_SHARE)):
        at = draw.randrange(len(words))
        if len(words[at]) > 3 and words[at].isalpha():
            words[at] = _mistype(words[at], draw)
    return " ".join(words)


def roughen(text: str, draw: random.Random) -> str:
    """A rendered text as a hastier person would have written it; what it means, and so its labels, stay."""
    kind = draw.choices(("typos", "punctuation", "mention", "no mention", "link"), (35, 20, 20, 15, 10))[0]
    if kind == "typos":
        return _typos(text, draw)
    if kind == "punctuation":
        return _PUNCTUATION.sub(" ", text).strip() or text
    if kind == "mention":
        return "@user " * draw.randint(1, 2) + text
    if kind == "no mention":
        return _LEADING_MENTIONS.sub("", text)
    return f"{text} [link]"


def order_batches(lengths: Sequence[int], batch_posts: int, seed: int, epoch: int) -> list[list[int]]:
    """The places of all posts as shuffled batches of posts of like length; the last of a chunk may be smaller."""
    draw = random.Random(f"{seed}/{epoch}/order")
    places = list(range(len(lengths)))
    draw.shuffle(places)
    chunk = batch_posts * _CHUNK_BATCHES
    batches = []
    for start in range(0, len(places), chunk):
        near = sorted(places[start : start + chunk], key=lambda place: lengths[place])
        batches += [near[at : at + batch_posts] for at in range(0, len(near), batch_posts)]
    draw.shuffle(batches)
    return batches


class Encoder:
    """Rendered pairs to padded tensors, cut to one window of the model."""

    def __init__(self, tokenizer: Tokenizer, window_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=window_tokens, strategy="longest_first")

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each example with its author."""
        return [len(self._tokenizer.encode(each.full.text, each.full.context or None).ids) for each in examples]

    def batch(self, pairs: Sequence[Rendered], labels: Sequence[tuple[int, int]]) -> Batch:
        """The padded batch of rendered pairs with their labels (route, intent)."""
        encoded = [self._tokenizer.encode(pair.text, pair.context or None) for pair in pairs]
        longest = max(len(each.ids) for each in encoded)

        def padded(rows: list[list[int]]) -> Tensor:
            return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long)

        return Batch(
            input_ids=padded([each.ids for each in encoded]),
            attention_mask=padded([each.attention_mask for each in encoded]),
            token_type_ids=padded([each.type_ids for each in encoded]),
            routes=torch.tensor([route for route, _ in labels]),
            intents=torch.tensor([intent for _, intent in labels]),
        )


def training_pair(example: Example, author_dropout: float, noise: float, draw: random.Random) -> Rendered:
    """The pair that one step of training sees: with or without author, roughened or not."""
    drops_author = draw.random() < author_dropout and example.may_lose_author
    pair = example.anonymous if drops_author else example.full
    if draw.random() >= noise:
        return pair
    return Rendered(text=roughen(pair.text, draw), context=pair.context)
