"""A tiny intent task as a file: the words of the tiny posts, two texts out of scope in each held-out part."""

import json
from pathlib import Path

from tests.training.tiny_posts import KINDS, tiny_posts

OUTSIDE = ("team shop app order", "last week new just")
PARTS = ("train", "train", "train", "development", "test")


def rows(*, development: bool = True) -> list[dict[str, str | None]]:
    """One row a post, the intents spread over the parts; without `development` its texts are trained on."""
    texts: list[dict[str, str | None]] = []
    for place, post in enumerate(tiny_posts()):
        part = PARTS[place // len(KINDS) % len(PARTS)]
        texts.append({"part": part, "text": post.text, "intent": post.intent})
    texts += [{"part": part, "text": text, "intent": None} for part in ("development", "test") for text in OUTSIDE]
    if development:
        return texts
    return [{**row, "part": "train"} if row["part"] == "development" else row for row in texts if row["intent"]]


def write_texts(path: Path, content: list[dict[str, str | None]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in content), encoding="utf-8")
    return path
