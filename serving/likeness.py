"""Which posts say nearly the same. Owns the measure: how many pairs of neighbouring words two texts have in common.

Exact, and fast without comparing everything with everything: of two sets that are alike to the share t, the first
n - ceil(t n) + 1 elements of each, in any one order of all elements, have one in common (prefix filtering: Bayardo,
Ma, Srikant, "Scaling up all pairs similarity search", WWW 2007). Only those are looked up.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from math import ceil

NEAR = 0.5
"""From which Jaccard similarity on two texts are nearly the same: of a dozen words one or two are others. Measured on
the corpus in docs/decisions/0033."""
Shingles = frozenset[str]

_NO_WORDS = re.compile(r"\[[a-z_]+\]|@(?:user|press|authority)\b|['\u2019]")
_WORD = re.compile(r"[^\W_]+")
_NUMBER = "0"


def words_of(text: str) -> str:
    """The words of a rendered text with one blank between them: no case, masks, mentions, links or marks, and `0` for
    whatever has a digit. Two posts that differ in nothing else are the same."""
    found = _WORD.findall(_NO_WORDS.sub("", text).casefold())
    return " ".join(word if word.isalpha() else _NUMBER for word in found)


def name_of(words: str) -> str:
    """The name of all posts of these words: 16 hexadecimal digits."""
    return blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def shingles_of(words: str) -> Shingles:
    """All pairs of neighbouring words; a single word is its own only one, and no words have none."""
    each = words.split()
    return frozenset(map(" ".join, pairwise(each))) or frozenset(each)


def similarity(one: Shingles, other: Shingles) -> float:
    """The Jaccard similarity of two sets, 0 to 1; of empty ones 0, since of nothing nothing is known."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def _prefix(shingles: Shingles, threshold: float) -> Sequence[str]:
    """The first elements in an order that has the long ones in front: those are rare, so they lead to few others."""
    size = len(shingles)
    return sorted(sorted(shingles), key=len, reverse=True)[: size - ceil(threshold * size) + 1]


class Alike:
    """Texts by name, asked for the one that another is nearly the same as."""

    def __init__(self, threshold: float = NEAR) -> None:
        self._threshold = threshold
        self._known: dict[str, Shingles] = {}
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, name: str, shingles: Shingles) -> None:
        """Nothing; from now on `name` is found. One that is known already stays as it is."""
        if name in self._known:
            return
        self._known[name] = shingles
        for shingle in _prefix(shingles, self._threshold):
            self._names[shingle].append(name)

    def discard(self, name: str) -> None:
        """Nothing; `name` is found no more."""
        shingles = self._known.pop(name, frozenset())
        for shingle in _prefix(shingles, self._threshold):
            self._names[shingle].remove(name)
            if not self._names[shingle]:
                del self._names[shingle]

    def find(self, shingles: Shingles) -> str | None:
        """The name of the text most like this one, the first by name of those as like; `None` where none is near."""
        names = self._names
        if names.keys().isdisjoint(shingles):  # most texts, and sooner known than which of theirs to look up
            return None
        found = {name for shingle in _prefix(shingles, self._threshold) if shingle in names for name in names[shingle]}
        near = [(-similarity(self._known[name], shingles), name) for name in found]
        nearest, name = min(near, default=(0.0, ""))
        return name if -nearest >= self._threshold and name else None
