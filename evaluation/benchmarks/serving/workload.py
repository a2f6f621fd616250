"""The posts of the benchmark, in an order fixed by a seed, and the request bodies made of them.

This server gets posts as they are; a peer gets them rendered already (`data.rendering`), since none of them could: it
is spared that work. Every post of the corpus fits one window of the model, so nobody runs more of it than another.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.post import LabelledPost, Post
from data.progress import Watch, unwatched
from data.rendering import Rendered, render
from data.sources import read_labelled
from models.bundle import Reading
from models.policy import Policy
from models.reading import load_tokenizer

CORPUS = Path("data/corpus")
SEED = 3
"""Any would do; fixed, so that two runs send the same posts in the same order."""
_FIELDS = set(Post.model_fields) - {"id"}


@dataclass(frozen=True, slots=True)
class Item:
    """One post of the load: as a caller has it, and as the model reads it."""

    post: Post
    rendered: Rendered


def _plain(post: LabelledPost) -> Post:
    return Post.model_validate(post.model_dump(include=_FIELDS))


def draw_items(tokenizer: Path, reading: Reading, policy: Policy, *, watch: Watch = unwatched) -> list[Item]:
    """All posts of the corpus that fit one window, rendered, shuffled by the seed, each text once."""
    posts = list({post.text: _plain(post) for post in read_labelled(CORPUS).posts}.values())
    random.Random(SEED).shuffle(posts)
    encoder = load_tokenizer(tokenizer, reading)
    items = []
    for post in watch(posts, "rendering the posts"):
        rendered = render(post, policy.guards.handles)
        if not encoder.encode(rendered.text, rendered.context).overflowing:
            items.append(Item(post, rendered))
    return items


def draw_repeats(items: Sequence[Item], count: int) -> list[Item]:
    """`count` posts as they come while some are passed on a lot: the n-th most popular comes 1/n as often (Zipf)."""
    weights = [1 / rank for rank in range(1, len(items) + 1)]
    return random.Random(SEED).choices(items, weights, k=count)


def own_body(item: Item) -> str:
    """The body of `POST /v1/predict`."""
    return item.post.model_dump_json(exclude_none=True)


def pair_of(item: Item) -> dict[str, str]:
    """The sentence pair that a peer's program reads."""
    return {"text": item.rendered.text, "context": item.rendered.context}


def write_items(path: Path, items: Sequence[Item]) -> Path:
    """`path`, which then holds the posts with their rendering, one a line, for `read_items`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"post": json.loads(own_body(item)), "rendered": pair_of(item)}) for item in items]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read_items(path: Path) -> list[Item]:
    """The posts that `write_items` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Item(Post.model_validate(row["post"]), Rendered(**row["rendered"])) for row in rows]


def write_bodies(path: Path, items: Sequence[Item], body: Callable[[Item], str]) -> Path:
    """`path`, which then holds one request body a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [body(item) for item in items]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def lengthen(items: Sequence[Item], count: int, every: int, most_characters: int) -> list[str]:
    """`count` different bodies of mixed length: every `every`-th joins posts up to `most_characters`."""
    order = random.Random(SEED)
    bodies = []
    for number in range(count):
        item = items[number % len(items)]
        text = item.post.text
        if number % every == 0:
            wanted = order.randint(500, most_characters)
            while len(text) < wanted:
                text += " " + order.choice(items).post.text
        post = item.post.model_dump(mode="json", exclude_none=True) | {"text": text[:most_characters]}
        bodies.append(json.dumps(post, ensure_ascii=False))
    return bodies
