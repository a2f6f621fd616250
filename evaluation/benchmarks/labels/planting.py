"""Known mistakes put into a clean set: labels flipped, posts copied, exactly and nearly. Owns what is planted where."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.dependencies import needs_group

_ADDED = ("please", "thanks", "asap", "again")


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Planted:
    """A set with known mistakes; places count in `examples`."""

    examples: tuple[Example, ...]
    flipped: frozenset[int]
    copies: dict[int, int]
    """The place of each copy, exact or near, and of what it was copied from."""
    exact: frozenset[int]
    """Those that are copied letter by letter."""


def near_copy(text: str, draw: random.Random) -> str:
    """The text with one small change, as people resend it: a word more or less, two letters swapped, capitals."""
    words = text.split()
    place = draw.randrange(len(words))
    change = draw.choice(("add", "drop", "swap", "capitals"))
    if change == "add" or len(words) < 6:
        return f"{text} {draw.choice(_ADDED)}"
    if change == "drop":
        return " ".join(words[:place] + words[place + 1 :])
    if change == "swap" and len(words[place]) > 3:
        word = words[place]
        words[place] = word[0] + word[2] + word[1] + word[3:]
        return " ".join(words)
    return text.upper() + "!"


def nearest_labels(examples: Sequence[Example]) -> dict[str, str]:
    """For each label the one that people would confuse it with: whose texts are the most like its own.

    Alike is the cosine of the mean TF-IDF vectors of words, which knows nothing of how the audit judges.
    """
    with needs_group("evaluate", "Finding the nearest labels"):
        from sklearn.feature_extraction.text import TfidfVectorizer
    labels = sorted({each.label for each in examples})
    matrix = TfidfVectorizer(sublinear_tf=True).fit_transform([each.text for each in examples])
    own = np.array([labels.index(each.label) for each in examples])
    means = np.vstack([np.asarray(matrix[own == place].mean(axis=0)) for place in range(len(labels))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T - 2 * np.eye(len(labels))
    return {label: labels[int(nearest)] for label, nearest in zip(labels, alike.argmax(axis=1), strict=True)}


def plant(
    examples: Sequence[Example], *, flips: float, copies: float, seed: int, nearest: Mapping[str, str] | None = None
) -> Planted:
    """The examples, shuffled, with that share of labels flipped and that share of copies added.

    A label is flipped to any other, all alike, or to its `nearest` where that is given; copies keep the label as it was
    before flips, half of them are exact.
    """
    draw = random.Random(seed)
    labels = sorted({each.label for each in examples})

    def flip(label: str) -> str:
        return nearest[label] if nearest else draw.choice([other for other in labels if other != label])

    copied = draw.sample(range(len(examples)), round(copies * len(examples)))
    exact = set(copied[: len(copied) // 2])
    made: list[tuple[Example, int, bool]] = [(each, place, False) for place, each in enumerate(examples)]
    for place in copied:
        each = examples[place]
        text = each.text if place in exact else near_copy(each.text, draw)
        made.append((Example(text, each.label), place, True))
    draw.shuffle(made)
    flipped = set(draw.sample(range(len(made)), round(flips * len(made))))
    home = {place: here for here, (_, place, is_copy) in enumerate(made) if not is_copy}
    return Planted(
        examples=tuple(
            Example(each.text, flip(each.label) if here in flipped else each.label)
            for here, (each, _, _) in enumerate(made)
        ),
        flipped=frozenset(flipped),
        copies={here: home[place] for here, (_, place, is_copy) in enumerate(made) if is_copy},
        exact=frozenset(here for here, (_, place, is_copy) in enumerate(made) if is_copy and place in exact),
    )
