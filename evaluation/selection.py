"""Which of many unlabelled posts people should label next. Pure: texts and probabilities in, places out.

Three ways beside each other. A random share, from which alone an estimate is unbiased. Posts that model and champion
label differently. Uncertain posts that are unlike each other: of the least sure ones, those nearest to the centres of
a k-means weighted by the uncertainty (Zhdanov 2019, "Diverse mini-batch active learning", arXiv 1901.05954).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.dependencies import needs_group
from data.duplicates import near_duplicates
from data.progress import Watch, unwatched
from evaluation.predictions import IntArray
from models.calibration import FloatArray

with needs_group("evaluate", "Choosing posts to label"):
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

Reason = Literal["random", "disagreement", "spike", "abstained", "uncertain"]
"""Why a post is to be read. `choose` gives three of them; decisions of a journal have the other two as well."""
_CANDIDATES_A_PLACE = 10
"""How many of the least sure posts compete for one place: beta of Zhdanov 2019, section 4."""
_FEATURES = 2**14
"""Room for the pieces of words in short posts; 200 centres take 26 MB."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A post by its place and why it was chosen; `probability` (0 to 1) of that where it was chosen by chance."""

    place: int
    reason: Reason
    probability: float | None = None


def stand_ins(texts: Sequence[str], known: Sequence[str] = (), *, watch: Watch = unwatched) -> dict[int, int]:
    """The places of texts that are near to none kept before them, each with how many texts it stands for.

    Texts near to a `known` one are left out. There are no chains: what is left out equals, or is near to, what stands
    for it, or equals a text that is.
    """
    earlier: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for pair in near_duplicates([*known, *texts], watch=watch):
        earlier[pair.second].append((-pair.similarity, pair.first))
    stands: list[int] = []
    for place in range(len(known) + len(texts)):
        if place < len(known):
            stands.append(place)
            continue
        alike = sorted(earlier[place])
        equal = [stands[first] for similarity, first in alike if similarity == -1.0]
        near = [first for _, first in alike if stands[first] == first]
        stands.append([*equal, *near, place][0])
    counted = Counter(stands[len(known) :])
    return {place - len(known): copies for place, copies in sorted(counted.items()) if place >= len(known)}


def margins(probabilities: FloatArray) -> FloatArray:
    """How far the likeliest label of each post is ahead of the next, `[n]` from `[n, k]`: 0 undecided, 1 sure."""
    best_two = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(best_two[:, 1] - best_two[:, 0], dtype=np.float64)


def unlike(texts: Sequence[str], weights: FloatArray, count: int, seed: int) -> list[int]:
    """At most `count` places of texts that are unlike each other, the heavier (`weights` `[n]`, above 0) rather."""
    if len(texts) <= count:
        return list(range(len(texts)))
    pieces = HashingVectorizer(n_features=_FEATURES, analyzer="char_wb", ngram_range=(2, 4), alternate_sign=False)
    vectors = TfidfTransformer(sublinear_tf=True).fit_transform(pieces.transform(texts))
    clusters = KMeans(count, n_init=1, random_state=seed).fit(vectors, sample_weight=weights)
    distances = clusters.transform(vectors)[np.arange(len(texts)), clusters.labels_]
    nearest: dict[int, int] = {}
    for place in np.lexsort((np.arange(len(texts)), distances)).tolist():
        nearest.setdefault(int(clusters.labels_[place]), place)
    return sorted(nearest.values())


def _disagreeing(pool: IntArray, ours: FloatArray, theirs: FloatArray) -> IntArray:
    """The posts of the pool that get another label, the farthest apart (total variation) first."""
    differ = pool[ours[pool].argmax(axis=1) != theirs[pool].argmax(axis=1)]
    apart = np.abs(ours[differ] - theirs[differ]).sum(axis=1) / 2
    return np.asarray(differ[np.argsort(-apart, kind="stable")])


def _uncertain(texts: Sequence[str], pool: IntArray, ours: FloatArray, count: int, seed: int) -> list[int]:
    sure = margins(ours[pool])
    order = np.argsort(sure, kind="stable")[: count * _CANDIDATES_A_PLACE]
    weights = 1 - sure[order] + 1e-6  # a k-means weighs nothing by nothing
    chosen = unlike([texts[place] for place in pool[order]], weights, count, seed)
    left = [row for row in range(len(order)) if row not in set(chosen)]
    rows = [*chosen, *left[: count - len(chosen)]]  # clusters that came out empty leave places for the least sure
    return [int(pool[order[row]]) for row in rows]


def choose(
    texts: Sequence[str],
    probabilities: FloatArray,
    size: int,
    *,
    champion: FloatArray | None = None,
    random_share: float,
    seed: int,
) -> list[Chosen]:
    """At most `size` of n texts with their calibrated probabilities `[n, k]`, in an order drawn by `seed`.

    `random_share` of them are drawn from all n alike. With the probabilities of a `champion` `[n, k]`, up to half of
    the others are posts that it labels differently; the rest are uncertain and unlike each other.
    """
    draw = np.random.default_rng(seed)
    size = min(size, len(texts))
    by_chance = draw.permutation(len(texts))[: round(size * random_share)]
    chosen = [Chosen(int(place), "random", len(by_chance) / len(texts)) for place in by_chance]
    pool = np.setdiff1d(np.arange(len(texts)), by_chance)
    if champion is not None:
        differ = _disagreeing(pool, probabilities, champion)[: (size - len(chosen)) // 2]
        chosen += [Chosen(int(place), "disagreement") for place in differ]
        pool = np.setdiff1d(pool, differ)
    if len(chosen) < size:
        places = _uncertain(texts, pool, probabilities, size - len(chosen), seed)
        chosen += [Chosen(place, "uncertain") for place in places]
    return [chosen[place] for place in draw.permutation(len(chosen))]
