"""What the ids of our own corpus tell: the family and the neighbours. Other people's ids tell nothing here.

An id such as `v3-0120` is post 120 of set 3 of family v. What the families are stands in `data/corpus/README.md`.
In family v the posts 2n-1 and 2n of a set were written after the manner of one real post, the posts of family m after
the manner of the post of family v whose number they bear (`m3-0120` and, written later, `m13-0120` after `v3-0120`),
and in the families q, s and b a situation was often turned several ways within some ten posts: such neighbours must
stand on the same side of a split.
"""

import re

from data.post import Post

_CORPUS_ID = re.compile(r"(?P<family>[abmnqsvw])(?P<set>\d{1,3})-(?P<number>\d{4})")
_NEIGHBOURS = {"v": 2, "q": 10, "s": 10, "b": 10}
"""Posts from one that were written in one breath, by family; in the others each stands for itself."""


def family(post: Post) -> str:
    """The family letter of a post of our corpus, `other` for every other post."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    return match["family"] if match else "other"


def neighbours(post: Post) -> str | None:
    """A name shared by the posts of our corpus that were written in one breath, `None` for all other posts."""
    match = _CORPUS_ID.fullmatch(post.id or "")
    if not match:
        return None
    letter, number_of_set = match["family"], match["set"]
    if letter == "m":
        letter, number_of_set = "v", number_of_set[-1]
    if letter not in _NEIGHBOURS:
        return None
    return f"{letter}{number_of_set}-{(int(match['number']) - 1) // _NEIGHBOURS[letter] + 1:04}"
