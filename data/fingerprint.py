"""The fingerprint of a set of posts: equal for equal posts, whatever file or order they came in."""

import hashlib
import json
from collections.abc import Iterable

from data.post import Post


def canonical_line(post: Post) -> str:
    """The post as one JSON line with sorted keys and no spaces: the same bytes for the same post.

    What is unknown is left out, and so is an author or a reach of which nothing is known: readers differ there, and
    a new optional field leaves old fingerprints as they are.
    """
    known = {key: value for key, value in post.model_dump(mode="json", exclude_none=True).items() if value != {}}
    return json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(posts: Iterable[Post]) -> str:
    """The SHA-256 (64 hex digits) over the canonical JSON lines of `posts`, sorted by id.

    Any change of any field of any post changes it; the order of the posts does not.
    """
    digest = hashlib.sha256()
    for _, line in sorted((post.id or "", canonical_line(post)) for post in posts):
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
