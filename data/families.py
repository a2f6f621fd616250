"""What the ids of our own corpus tell: the family and the neighbours. Other people's ids tell nothing here.

An id such as `v3-0120` is post 120 of set 3 of family v. What the families are stands in `data/corpus/README.md`.
In family v the posts 2n-1 and 2n of a set were written after the manner of one real post, and in the families q, s
and b a situation was often turned several ways within some ten posts: such neighbours must stand on the same side of
a split.
"""

import re

from data.post import Post

_CORPUS_ID = re.compile(r"(?P<family>[abnqsvw])(?P<set>\d{1,2})-(?P<number>\d{4})")
_NEIGHBOURS = {"v": 2, "q": 10, "s": 10, "b": 10}
"""Posts from one that were written in one breath, by family; in the others each stands for itself."""


def family(post: Post) -> str:
    """The family letter of a post of our corpus, `other` for every other post."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    return match["family"] if match else "other"


def neighbours(post: Post) -> str | None:
    """A name shared by the posts of our corpus that were written in one breath, `None` for all other posts."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    if not match or match["family"] not in _NEIGHBOURS:
        return None
    at_once = _NEIGHBOURS[match["family"]]
    return f"{match['family']}{match['set']}-{(int(match['number']) - 1) // at_once + 1:04}"
