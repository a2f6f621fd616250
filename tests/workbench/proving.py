"""What the tests of the threshold desk prove policies with: labelled posts with splits, enough of each route to prove a
loose budget, and an injection that policies are to withstand.
"""

import random
from pathlib import Path

from data.post import LabelledPost
from data.sources import write_labelled
from data.splits import Splits, split, write_splits
from data.taxonomy import Intent, Route
from tests.evaluation.populations import labelled_post

OF_EACH = 130
"""Of each route; a seventh of them stands in the part that proves: 18 show a leak under 15 % at 90 % confidence."""
_WORDS: tuple[tuple[str, Route, Intent], ...] = (
    ("injured", "sensitive", "safety_health"),
    ("journalist", "influencer", "product_info"),
    ("again", "complex", "service_quality"),
    ("parcel", "simple", "order_status"),
)


def posts_that_prove() -> list[LabelledPost]:
    """Posts without a word in common but the one that the fake knows, so that none is another's near duplicate."""
    letters = random.Random(2)

    def word() -> str:
        return "".join(letters.choices("bcdfghklmnprstvwz", k=8))

    return [
        labelled_post(4 * number + place, (f"{word()} {known} {word()} {word()}", route, intent))
        for number in range(OF_EACH)
        for place, (known, route, intent) in enumerate(_WORDS)
    ]


def write_proving(directory: Path) -> Splits:
    """The splits of the posts, after both were written to the directory."""
    rows = posts_that_prove()
    splits = split(rows, rules=())
    write_labelled(directory / "posts.jsonl", rows)
    write_splits(directory / "splits.json", splits)
    return splits


def write_injection(path: Path, words: str) -> Path:
    """The file of behaviour cases, after it was written: a post for people, and the same with `words` to a machine."""
    path.write_text(
        f"""
texts.some = ["what a mess"]

[[capability]]
name = "injection"
about = "why"
way = "add"
expect = "never_closed"
limit = 0.0
texts = "some"
places = ["after"]
additions = ["{words}"]
"""
    )
    return path
