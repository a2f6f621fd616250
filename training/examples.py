"""Posts as the tensors that training eats: encoded pairs, author dropout, asides, noise, batches of like length.

Everything random is drawn from (seed, epoch, step) alone, so that a run that was cut off goes on exactly as it
would have gone.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Encoding
from torch import Tensor

from data.post import Author, LabelledPost, Post
from data.progress import Watch, unwatched
from data.rendering import Rendered, render
from data.taxonomy import ROUTES, Taxonomy
from models.bundle import Reading
from models.reading import cut_context, load_tokenizer
from training.asides import CLOSING_WORDS, TO_MACHINES
from training.recipe import FinetuneRecipe

_CHUNK_BATCHES = 50
"""Batches are formed by length within chunks of this many: little padding, and still another mix every epoch."""
_PUNCTUATION = re.compile(r"[.,!?;:'\"-]+")
_LEADING_MENTIONS = re.compile(r"^(?:@user )+(?=\S)")
_TYPO_SHARE = 8
"""One word in so many is mistyped."""
_ASIDE_WORDS = 15
"""A simple post of at most so many words may stand beside another post."""


UNLABELLED = -100
"""The place of a label that nobody gave: what torch's cross-entropy leaves out."""


@dataclass(frozen=True, slots=True)
class Said:
    """What teachers say of one reading, on average: logits of the routes `[4]` and of the intents `[k]`.

    Of a batch `[n, 4]` and `[n, k]`.
    """

    route: Tensor
    intent: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """One post ready for training: rendered with and without its author, and under the name of a stranger.

    `stranger` is `None` where the label may rest on the author, so that he is neither dropped nor swapped. `aside` is
    a sentence that may stand before or behind the text and leaves its labels as they are; `None` for simple posts, to
    which it might add something that is not simple, and for those without labels. `said` is what teachers say of the
    post with and without its author, where there are any. Labels may be `UNLABELLED`.
    """

    full: Rendered
    anonymous: Rendered
    stranger: Rendered | None
    route: int
    intent: int
    aside: str | None = None
    said: tuple[Said, Said] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded inputs `[n, t]`, labels `[n]` and what teachers say. `share` is how much of its step's posts it is."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    routes: Tensor
    intents: Tensor
    said: Said | None = None
    share: float = 1.0

    def take(self, places: slice | Tensor) -> "Batch":
        """The posts at these places, in this order, with the share of the whole batch."""
        return Batch(
            input_ids=self.input_ids[places],
            attention_mask=self.attention_mask[places],
            token_type_ids=self.token_type_ids[places],
            routes=self.routes[places],
            intents=self.intents[places],
            said=Said(self.said.route[places], self.said.intent[places]) if self.said else None,
            share=self.share,
        )


def split_batch(batch: Batch, tokens: int, readings: int) -> list[Batch]:
    """The batch in pieces of at most so many tokens a reading, or of one post; each with its own share.

    Padding counts. The `readings` of a post stand one after the other in a batch and stay together.
    """
    rows, length = batch.input_ids.shape
    at_once = max(1, tokens // length) * readings
    pieces = []
    for start in range(0, rows, at_once):
        piece = slice(start, min(start + at_once, rows))
        pieces.append(replace(batch.take(piece), share=batch.share * (piece.stop - piece.start) / rows))
    return pieces


def _example(post: Post, stranger: Author | None, route: int, intent: int, *, keeps_author: bool) -> Example:
    by_stranger = post.model_copy(update={"author": stranger})
    return Example(
        full=render(post),
        anonymous=render(post.model_copy(update={"author": None})),
        stranger=None if keeps_author else render(by_stranger),
        route=route,
        intent=intent,
    )


def _add_asides(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The examples, those of posts that are not simple with an aside: ready words, or as often a short simple post."""
    simple = ROUTES.index("simple")
    alone = [
        each.full.text for each in examples if each.route == simple and len(each.full.text.split()) <= _ASIDE_WORDS
    ]
    kinds = [kind for kind in (TO_MACHINES, CLOSING_WORDS, alone, alone) if kind]
    draw = random.Random("asides")
    return tuple(
        each if each.route in (simple, UNLABELLED) else replace(each, aside=draw.choice(draw.choice(kinds)))
        for each in examples
    )


def make_examples(
    posts: Sequence[LabelledPost], taxonomy: Taxonomy, *, unlabelled: Sequence[Post] = (), watch: Watch = unwatched
) -> tuple[Example, ...]:
    """The examples of `posts`, then those of `unlabelled` ones, which only teachers judge.

    The author of an influencer's post is never dropped or swapped: the label may rest on it. Dropping it all the same
    taught the model to see influencers where nothing speaks of one (training/LOG.md). Strangers are the authors of the
    other posts, so none of them makes an influencer's post of anything.
    """
    authors = [post.author for post in posts if post.author and post.route != "influencer"]
    draw = random.Random("strangers")

    def stranger() -> Author | None:
        return draw.choice(authors) if authors else None

    examples = []
    for post in watch(posts, "rendering", len(posts)):
        route, intent = ROUTES.index(post.route), taxonomy.names.index(post.intent)
        examples.append(_example(post, stranger(), route, intent, keeps_author=post.route == "influencer"))
    for each in watch(unlabelled, "rendering posts without labels", len(unlabelled)):
        examples.append(_example(each, stranger(), UNLABELLED, UNLABELLED, keeps_author=False))
    return _add_asides(examples)


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


def _stack(said: Sequence[Said]) -> Said:
    return Said(torch.stack([each.route for each in said]), torch.stack([each.intent for each in said]))


class Encoder:
    """Rendered pairs to padded tensors: the first window that is read of a post in service."""

    def __init__(self, tokenizer: Path, reading: Reading) -> None:
        self._tokenizer, self._context_tokens = load_tokenizer(tokenizer, reading), reading.context_tokens

    def _encode(self, pair: Rendered) -> Encoding:
        context = cut_context(self._tokenizer, pair.context, self._context_tokens)
        return self._tokenizer.encode(pair.text, context or None)

    def lengths(self, pairs: Sequence[Rendered]) -> list[int]:
        """Tokens of each rendered pair."""
        return [len(self._encode(pair).ids) for pair in pairs]

    def batch(
        self, pairs: Sequence[Rendered], labels: Sequence[tuple[int, int]], said: Sequence[Said] | None = None
    ) -> Batch:
        """The padded batch of rendered pairs with their labels (route, intent) and what teachers say of them."""
        encoded = [self._encode(pair) for pair in pairs]
        longest = max(len(each.ids) for each in encoded)

        def padded(rows: list[list[int]]) -> Tensor:
            return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long)

        return Batch(
            input_ids=padded([each.ids for each in encoded]),
            attention_mask=padded([each.attention_mask for each in encoded]),
            token_type_ids=padded([each.type_ids for each in encoded]),
            routes=torch.tensor([route for route, _ in labels]),
            intents=torch.tensor([intent for _, intent in labels]),
            said=_stack(said) if said else None,
        )


def training_reading(example: Example, settings: FinetuneRecipe, draw: random.Random) -> tuple[Rendered, Said | None]:
    """What one step of training sees and is taught: whose author it has, whether an aside, whether it is roughened."""
    drawn, pair, said = draw.random(), example.full, example.said[0] if example.said else None
    if example.stranger and drawn < settings.author_dropout + settings.author_swap:
        pair = example.anonymous if drawn < settings.author_dropout else example.stranger
        said = example.said[1] if example.said else None
    # Drawn only where it is asked for: a run without asides stays what it was before there were any.
    if settings.asides and example.aside and draw.random() < settings.asides:
        places = (example.aside, pair.text) if draw.random() < 0.5 else (pair.text, example.aside)
        pair = Rendered(text=" ".join(places), context=pair.context)
    if draw.random() < settings.noise:
        pair = Rendered(text=roughen(pair.text, draw), context=pair.context)
    return pair, said
