"""How far people agree on these labels: what no model can be expected to pass. Read from beside the posts."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = "agreement.json"
"""What `python -m data agreement` prints: beside `posts.jsonl` as `posts.agreement.json`, in a directory as this."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Krippendorff's alpha of the route between people, with its 95 % interval."""

    alpha: float
    low: float
    high: float
    posts: int
    people: int


def ceiling_file(posts: Path) -> Path:
    """Where the agreement on labelled posts, a file or a directory, is looked for."""
    return posts / FILE if posts.is_dir() else posts.with_suffix(f".{FILE}")


def read_ceiling(file: Path) -> Ceiling | None:
    """The agreement that was measured, `None` where none lies there or it is not defined."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))["route"]
        return Ceiling(
            alpha=float(said["alpha"]),
            low=float(said["low"]),
            high=float(said["high"]),
            posts=int(said["posts"]),
            people=int(said["annotators"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
