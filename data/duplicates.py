"""Which texts are nearly the same. Owns the measure (Jaccard similarity of character shingles) and its threshold.

Candidates come from MinHash signatures in a locality-sensitive index (datasketch), so that no two far texts are
compared; each candidate is then verified by the exact similarity. Deterministic: fixed seed, sorted output.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from data.dependencies import needs_group
from data.progress import Watch, unwatched
from data.steps import Steps, finish

SHINGLE_CHARACTERS = 4
NEAR_DUPLICATE_SIMILARITY = 0.7
"""Measured on our corpus (2026-11): at 0.7 pairs are one sentence with a word changed; at 0.6 most unlinked pairs
share only the words of an emoji or a mention."""

_BANDS, _ROWS = 32, 4
"""A pair at similarity 0.7 becomes a candidate with probability 1 - (1 - 0.7^4)^32 = 0.9998."""
_SEED = 1
_PIECE_TEXTS = 64
"""Some 15 ms of one core."""


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two texts by their place in the list, `first < second`, and their similarity, 0 to 1."""

    first: int
    second: int
    similarity: float


def shingles(text: str) -> frozenset[str]:
    """All runs of four characters of the lower-cased text; a shorter text is its only shingle."""
    folded = text.casefold()
    last = max(1, len(folded) - SHINGLE_CHARACTERS + 1)
    return frozenset(folded[start : start + SHINGLE_CHARACTERS] for start in range(last))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """The Jaccard similarity of two sets of shingles, 0 to 1; two empty sets are alike."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def _candidates_in_steps(sets: Sequence[frozenset[str]], watch: Watch) -> Steps[list[tuple[int, int]]]:
    with needs_group("evaluate", "Finding near duplicates"):
        from datasketch import MinHash, MinHashLSH
    permutations = _BANDS * _ROWS
    index = MinHashLSH(num_perm=permutations, params=(_BANDS, _ROWS))
    pairs: list[tuple[int, int]] = []
    signatures = MinHash.generator(
        ([shingle.encode() for shingle in sorted(each)] for each in sets), num_perm=permutations, seed=_SEED
    )
    for place, signature in enumerate(watch(signatures, "comparing texts", len(sets))):
        pairs += [(earlier, place) for earlier in index.query(signature)]
        index.insert(place, signature, check_duplication=False)
        if not place % _PIECE_TEXTS:
            yield
    return sorted(pairs)


def near_duplicates_in_steps(
    texts: Sequence[str], threshold: float = NEAR_DUPLICATE_SIMILARITY, *, watch: Watch = unwatched
) -> Steps[tuple[Pair, ...]]:
    """The same as `near_duplicates`, some texts a step."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        places[text.casefold()].append(place)
    pairs = [Pair(first, later, 1.0) for first, *others in places.values() for later in others]
    firsts = [same[0] for same in places.values()]
    sets = [shingles(texts[first]) for first in firsts]
    for one, other in (yield from _candidates_in_steps(sets, watch)):
        if (alike := similarity(sets[one], sets[other])) >= threshold:
            pairs.append(Pair(firsts[one], firsts[other], alike))
    return tuple(sorted(pairs))


def near_duplicates(
    texts: Sequence[str], threshold: float = NEAR_DUPLICATE_SIMILARITY, *, watch: Watch = unwatched
) -> tuple[Pair, ...]:
    """All pairs of `texts` at least `threshold` alike, sorted.

    Equal texts (but for case) are paired with the first of them only, so that a hundred times "thanks" gives 99
    pairs; what is near to one of them is paired with that first one.
    """
    return finish(near_duplicates_in_steps(texts, threshold, watch=watch))
