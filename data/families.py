"""What the ids of our own corpus tell: the family and the manner pair. Other people's ids tell nothing here.

An id such as `v3-0120` is post 120 of set 3 of family v. The families are a (well written), w (messy) and v (plain).
In family v the posts 2n-1 and 2n of a set were written after the manner of one real post (`data/corpus/README.md`),
so `v3-0119` and `v3-0120` must stand on the same side of a split.
"""

import re

from data.post import Post

_CORPUS_ID = re.compile(r"(?P<family>[awv])(?P<set>\d{1,2})-(?P<number>\d{4})")


def family(post: Post) -> str:
    """The family letter of a post of our corpus (`a`, `w` or `v`), `other` for every other post."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    return match["family"] if match else "other"


def manner(post: Post) -> str | None:
    """A name shared by the two posts of a manner pair of family v, `None` for all other posts."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    if not match or match["family"] != "v":
        return None
    return f"v{match['set']}-{(int(match['number']) + 1) // 2:04}"
