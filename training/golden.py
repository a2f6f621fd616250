"""Which posts a bundle is tried on whenever it is loaded: a few of the development part, and some that guards decide.

They go into the bundle (`docs/decisions/0011`), so nothing of a person is left in them but what was posted: text and
bio are masked as in the logs, and the handle is left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, zip_longest

from data.post import Author, LabelledPost, Post, Reach
from data.redaction import redact
from data.taxonomy import ROUTES
from models.golden import Golden, record
from models.policy import GuardLines
from models.predictor import Predictor

GOLDEN_POSTS = 32
"""Over every route and language of the corpus and all guards, in a quarter of a second of loading."""
_FOREIGN_POSTS = 8
_LONG_CHARACTERS = 1_200
"""Some 300 tokens: two windows of the default recipe."""


def _without_a_person(post: LabelledPost) -> Post:
    author = post.author and post.author.model_copy(
        update={"handle": None, "bio": post.author.bio and redact(post.author.bio, post.lang)}
    )
    return Post(
        id=post.id,
        text=redact(post.text, post.lang),
        platform=post.platform,
        author=author,
        reach=post.reach,
        in_reply_to=post.in_reply_to and redact(post.in_reply_to, post.lang),
    )


def _spread(posts: Sequence[LabelledPost], foreign: int) -> Iterator[LabelledPost]:
    """A post of each of at most `foreign` rarer languages, then those of the commonest, one of each route in turn."""
    ordered = sorted(posts, key=lambda post: post.id)
    ((common, _),) = Counter(post.lang for post in ordered).most_common(1)
    rarer = {post.lang: post for post in reversed(ordered) if post.lang != common}
    yield from (rarer[lang] for lang in sorted(rarer)[:foreign])
    rows = zip_longest(*([post for post in ordered if (post.lang, post.route) == (common, route)] for route in ROUTES))
    yield from (post for row in rows for post in row if post is not None)


def _made(posts: Sequence[Post], lines: GuardLines) -> list[Post]:
    """A post of several windows, and one for each guard, written on the texts of `posts`."""
    plain = min((post.text for post in posts), key=lambda text: (len(text), text))
    long = " ".join(post.text for post in posts)[:_LONG_CHARACTERS]
    return [
        Post(id="golden-long", text=long),
        Post(id="golden-followers", text=plain, author=Author(followers=lines.followers)),
        Post(id="golden-reposts", text=plain, reach=Reach(reposts=lines.reposts)),
        Post(id="golden-authority", text=f"{plain} @Ofcom"),
        # The test number that card schemes publish: it passes the Luhn check and belongs to nobody.
        Post(id="golden-card", text=f"{plain} 4111 1111 1111 1111"),
        Post(id="golden-nothing", text="https://example.com/a"),
    ]


def choose_golden_posts(posts: Sequence[LabelledPost], lines: GuardLines) -> list[Post]:
    """At most `GOLDEN_POSTS` posts, always the same of the same `posts` (at least one) and lines of the guards."""
    real = [_without_a_person(post) for post in islice(_spread(posts, _FOREIGN_POSTS), GOLDEN_POSTS)]
    made = _made(real[_FOREIGN_POSTS:] or real, lines)
    return [*real[: GOLDEN_POSTS - len(made)], *made]


def record_golden(predictor: Predictor, posts: Sequence[LabelledPost]) -> Golden:
    """The golden posts of a bundle that serves as `predictor` does, chosen of `posts`."""
    policy, made_at = predictor.policy, datetime.now(UTC).replace(microsecond=0)
    chosen = choose_golden_posts(posts, policy.guards)
    return record(chosen, predictor.predict(chosen), policy, made_at)
