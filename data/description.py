"""What a set of posts holds: counts by label and by fact, and how long the texts are."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

from data.families import family
from data.post import LabelledPost, Post

_SHOWN_VALUES = 25
"""All built-in intents (21) and the larger trades; the JSON answer has every value."""
_LENGTH_BUCKETS = ((281, "over 280"), (141, "141 to 280"), (41, "41 to 140"), (0, "up to 40"))
"""In characters: 140 and 280 were the limits of a tweet."""
_FOLLOWER_BUCKETS = ((50_000, "50,000 or more"), (10_000, "10,000 to 49,999"), (0, "under 10,000"))
"""The guide's lines between an influencer and everybody else."""


@dataclass(frozen=True, slots=True)
class Description:
    """The counts of every value of every fact, most frequent first, and the lengths of the texts in characters."""

    posts: int
    counts: Mapping[str, Mapping[str, int]]
    characters: Mapping[str, int]
    """`least`, `median`, `p95`, `most`; empty without posts."""

    def as_json(self) -> dict[str, Any]:
        """The description as JSON values."""
        return asdict(self)

    def as_text(self) -> str:
        """The description as tables for people."""
        lines = [f"{self.posts} posts, characters: " + ", ".join(f"{k} {v}" for k, v in self.characters.items())]
        for fact, values in self.counts.items():
            lines.append(f"\n{fact}")
            rows = [f"  {n:>7,}  {n / self.posts:>6.1%}  {value}" for value, n in values.items()]
            lines += rows[:_SHOWN_VALUES]
            if len(rows) > _SHOWN_VALUES:
                lines.append(f"  ... and {len(rows) - _SHOWN_VALUES} more values")
        return "\n".join(lines)


def _bucket(value: int, buckets: Sequence[tuple[int, str]]) -> str:
    return next(name for least, name in buckets if value >= least)


def _followers(post: Post) -> str:
    return "unknown" if post.followers is None else _bucket(post.followers, _FOLLOWER_BUCKETS)


_FACTS: Mapping[str, Callable[[Post], str]] = {
    "family": family,
    "platform": lambda post: post.platform,
    "lang": lambda post: post.lang or "unknown",
    "length": lambda post: _bucket(len(post.text), _LENGTH_BUCKETS),
    "followers": _followers,
    "author": lambda post: "known" if post.author else "unknown",
    "reply": lambda post: "yes" if post.in_reply_to else "no",
}
_LABELS: Mapping[str, Callable[[LabelledPost], str]] = {
    "route": lambda post: post.route,
    "intent": lambda post: post.intent,
    "route by family": lambda post: f"{family(post)} {post.route}",
    "route by author": lambda post: f"{post.route}, author {'known' if post.author else 'unknown'}",
    "industry": lambda post: post.industry,
    "contrast pair": lambda post: "yes" if post.contrast_of else "no",
}


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _characters(lengths: list[int]) -> dict[str, int]:
    if not lengths:
        return {}
    cuts = quantiles(lengths, n=20, method="inclusive") if len(lengths) > 1 else lengths * 19
    return {"least": min(lengths), "median": round(cuts[9]), "p95": round(cuts[18]), "most": max(lengths)}


def describe(posts: Sequence[Post]) -> Description:
    """The counts over `posts`; those of labels only over the labelled ones among them."""
    labelled = [post for post in posts if isinstance(post, LabelledPost)]
    counts = {name: _count(map(value, labelled)) for name, value in _LABELS.items()} if labelled else {}
    counts |= {name: _count(map(value, posts)) for name, value in _FACTS.items()}
    return Description(len(posts), counts, _characters([len(post.text) for post in posts]))
