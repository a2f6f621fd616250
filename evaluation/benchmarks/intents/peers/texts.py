"""What every peer reads and writes: texts in three parts in, logarithms of probabilities out. Knows NumPy alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

_LEAST = 1e-12
"""Keeps the logarithm of a probability finite."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts to learn from with the places `[n]` of their intents, and both held-out parts."""

    train: tuple[str, ...]
    labels: tuple[int, ...]
    intents: int
    development: tuple[str, ...]
    test: tuple[str, ...]


def read_texts(file: str) -> Texts:
    """The texts in a file of JSON Lines; intents are numbered by their sorted names."""
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    taught = [row["intent"] for row in rows if row["part"] == "train"]
    names = sorted(set(taught))
    train, development, test = (
        tuple(row["text"] for row in rows if row["part"] == part) for part in ("train", "development", "test")
    )
    return Texts(train, tuple(names.index(name) for name in taught), len(names), development, test)


def write_logits(out: str, texts: Texts, chances_of: Callable[[Sequence[str]], ArrayLike]) -> None:
    """Nothing; `out` holds the logarithms of what `chances_of` gives of each held-out part, `[n, k]`."""
    said = {}
    for part, held in (("development", texts.development), ("test", texts.test)):
        chances = np.asarray(chances_of(list(held))) if held else np.zeros((0, texts.intents))
        said[part] = np.log(np.maximum(chances, _LEAST))
    np.savez(out, development=said["development"], test=said["test"])
