"""Which posts belong together, so that a split never tears them apart and a bootstrap draws them as one.

Posts that share a key of any rule are in one group, and so are near duplicates; groups grow through shared posts
(union-find). The rules are values: other data may add its own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.dependencies import needs_group
from data.duplicates import Pair, near_duplicates, near_duplicates_in_steps
from data.families import neighbours
from data.handles import normal_handle
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.rendering import render
from data.steps import Steps

MAX_THREAD_POSTS = 50
"""A brand message above more posts than this is taken for a canned answer ("Hi, how can we help?"), not a thread:
it would chain strangers into one giant group. In our corpus the most common message stands above 6 posts."""
MAX_ALIKE_POSTS = 50
"""A text that more posts than this repeat is a common phrase ("thanks!"), not a copy: it joins nothing."""
_PIECE_POSTS = 128
"""Some 20 ms of one core to render."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Posts that share one of their `keys` belong together, unless more than `max_posts` share it."""

    name: str
    keys: Callable[[LabelledPost], tuple[str, ...]]
    max_posts: int | None = None


def _author(post: LabelledPost) -> tuple[str, ...]:
    handle = normal_handle(post.author.handle) if post.author and post.author.handle else ""
    return (handle,) if handle else ()


def _thread(post: LabelledPost) -> tuple[str, ...]:
    message = " ".join((post.in_reply_to or "").casefold().split())
    return (message,) if message else ()


def _contrast(post: LabelledPost) -> tuple[str, ...]:
    return (post.id, post.contrast_of) if post.contrast_of else (post.id,)


def _neighbours(post: LabelledPost) -> tuple[str, ...]:
    name = neighbours(post)
    return (name,) if name else ()


NEIGHBOURS = "neighbours"
RULES = (
    Rule("author", _author),
    Rule("thread", _thread, max_posts=MAX_THREAD_POSTS),
    Rule("contrast", _contrast),
    Rule(NEIGHBOURS, _neighbours),
)
"""Same author, same thread, contrast pair; and the neighbours of our corpus, which no other ids match."""
NEAR_DUPLICATE = "near_duplicate"


@dataclass(frozen=True, slots=True)
class Grouping:
    """Every post in exactly one group; groups and their members in the order of the posts."""

    groups: tuple[tuple[int, ...], ...]
    """Places in the list of posts."""
    links: dict[str, int]
    """How many pairs each rule joined (before chaining): what the grouping rests on."""
    skipped_keys: dict[str, int]
    """Keys that more posts share than their rule allows, by rule."""

    @property
    def numbers(self) -> list[int]:
        """The number of the group of each post, `[n]`."""
        number = {place: n for n, members in enumerate(self.groups) for place in members}
        return [number[place] for place in range(len(number))]

    @property
    def largest(self) -> int:
        """Posts in the largest group."""
        return max(map(len, self.groups), default=0)


def _pairs_by_key(posts: Sequence[LabelledPost], rule: Rule) -> tuple[list[tuple[int, int]], int]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, post in enumerate(posts):
        for key in rule.keys(post):
            places[key].append(place)
    shared = [same for same in places.values() if rule.max_posts is None or len(same) <= rule.max_posts]
    return [(same[0], other) for same in shared for other in same[1:]], len(places) - len(shared)


def _pairs_alike(pairs: Sequence[Pair], max_posts: int | None) -> tuple[list[tuple[int, int]], int]:
    alike_to = Counter(pair.first for pair in pairs)
    common = {place for place, count in alike_to.items() if max_posts is not None and count >= max_posts}
    return [(pair.first, pair.second) for pair in pairs if pair.first not in common], len(common)


def group(
    posts: Sequence[LabelledPost],
    rules: Sequence[Rule] = RULES,
    *,
    alike: Sequence[Pair] | None = None,
    max_alike_posts: int | None = MAX_ALIKE_POSTS,
    watch: Watch = unwatched,
) -> Grouping:
    """The groups of `posts` by `rules` and by near-duplicate rendered texts.

    `alike` are those near duplicates where they are known already; finding them is most of the work. A text with
    `max_alike_posts` copies joins nothing; `None` joins whatever is alike.
    """
    with needs_group("evaluate", "Grouping posts"):
        from scipy.cluster.hierarchy import DisjointSet
    if alike is None:
        alike = near_duplicates([render(post).text for post in watch(posts, "rendering")], watch=watch)
    pairs: dict[str, list[tuple[int, int]]] = {}
    skipped: Counter[str] = Counter()
    for rule in rules:
        pairs[rule.name], skipped[rule.name] = _pairs_by_key(posts, rule)
    pairs[NEAR_DUPLICATE], skipped[NEAR_DUPLICATE] = _pairs_alike(alike, max_alike_posts)
    joined = DisjointSet(range(len(posts)))
    for linked in pairs.values():
        for one, other in linked:
            joined.merge(one, other)
    return Grouping(
        groups=tuple(sorted(tuple(sorted(each)) for each in joined.subsets())),
        links={name: len(linked) for name, linked in pairs.items()},
        skipped_keys={name: count for name, count in skipped.items() if count},
    )


def group_in_steps(posts: Sequence[LabelledPost]) -> Steps[Grouping]:
    """The groups of `posts` as `group` has them, some posts a step."""
    texts: list[str] = []
    for start in range(0, len(posts), _PIECE_POSTS):
        texts += [render(post).text for post in posts[start : start + _PIECE_POSTS]]
        yield
    return group(posts, alike=(yield from near_duplicates_in_steps(texts)))
