"""Posts that are copies of each other, or nearly: clusters, and whether their labels agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.dependencies import needs_group
from data.duplicates import Pair
from data.post import LabelledPost


@dataclass(frozen=True, slots=True)
class Cluster:
    """Posts whose texts are at least 70 % alike, each with one of the others; `number` counts from 1."""

    number: int
    posts: tuple[LabelledPost, ...]
    similarity: tuple[float, ...]
    """Of each post to the one it is most like, 0 to 1; 1 is a copy but for case."""

    @property
    def agrees(self) -> bool:
        """Whether all of them have the same labels."""
        return len({(post.route, post.intent) for post in self.posts}) == 1


def find_clusters(posts: Sequence[LabelledPost], pairs: Sequence[Pair]) -> tuple[Cluster, ...]:
    """The clusters that `pairs` of `posts` make (`data.duplicates`): those that disagree first, then the largest."""
    with needs_group("evaluate", "Finding clusters"):
        from scipy.cluster.hierarchy import DisjointSet
    nearest: dict[int, float] = {}
    for pair in pairs:
        for place in (pair.first, pair.second):
            nearest[place] = max(nearest.get(place, 0.0), pair.similarity)
    joined = DisjointSet(nearest)
    for pair in pairs:
        joined.merge(pair.first, pair.second)
    found = [
        Cluster(0, tuple(posts[place] for place in places), tuple(nearest[place] for place in places))
        for places in map(sorted, joined.subsets())
    ]
    ordered = sorted(found, key=lambda each: (each.agrees, -len(each.posts), each.posts[0].id))
    return tuple(Cluster(number, each.posts, each.similarity) for number, each in enumerate(ordered, start=1))
