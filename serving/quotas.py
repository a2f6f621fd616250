"""How many posts a key may send: a bucket for each key that holds a minute's posts and refills evenly (GCRA).

Posts are counted, not requests: they are the cost. Kept in memory by throttled-py (docs/decisions/0014), on a clock
that nobody can set.
"""

import math
from collections.abc import Mapping

from throttled.rate_limiter import RateLimitState, per_min
from throttled.rate_limiter.gcra import GCRARateLimiter
from throttled.store import MemoryStore

from serving.auth import KeyEntry
from serving.errors import InvalidPostError, RateLimitedError
from serving.wire import Detail

_MINUTE_S = 60
_MAX_KEYS = 1_000_000
"""More than a keys file can sensibly hold: above it the store would forget the key that was longest silent."""


def _owner(key: KeyEntry | None) -> str:
    return "this server" if key is None else f"the key {key.name!r}"


def _headers(limit: int, state: RateLimitState) -> dict[str, str]:
    """The two fields of draft-ietf-httpapi-ratelimit-headers-10: what is allowed, and what is left of it now."""
    return {
        "RateLimit-Policy": f'"posts";q={limit};w={_MINUTE_S}',
        "RateLimit": f'"posts";r={state.remaining};t={math.ceil(state.reset_after)}',
    }


def _refusal(owner: str, posts: int, limit: int, state: RateLimitState) -> RateLimitedError:
    missing_s = state.reset_after - (limit - posts) * _MINUTE_S / limit
    retry_after_s = max(0, math.floor(missing_s)) + 1  # a whole second that is surely not too short
    return RateLimitedError(
        f"The request of at least {posts} posts was refused: {owner} has {state.remaining} posts left. Allowed: "
        f"{limit} a minute. Send it again after {retry_after_s} s, or give it to an agent.",
        retry_after_s=retry_after_s,
        headers=_headers(limit, state),
    )


def _never(owner: str, posts: int, limit: int) -> InvalidPostError:
    detail = Detail(field="posts", code="too_long", got=f"an array of {posts}", wanted=f"at most {limit} posts")
    return InvalidPostError(
        f"The request of {posts} posts was refused: {owner} would never have so many left. Allowed: {limit} a minute. "
        "Send fewer posts in one batch, or ask the operator for a higher limit.",
        details=[detail],
    )


class Quotas:
    """What each key has left. `posts_per_minute` holds for keys that do not say otherwise; 0 is no limit."""

    def __init__(self, posts_per_minute: int) -> None:
        self._default = posts_per_minute
        self._store = MemoryStore(options={"MAX_SIZE": _MAX_KEYS})
        self._limiters: dict[int, GCRARateLimiter] = {}

    def _limit(self, key: KeyEntry | None) -> int:
        return self._default if key is None or key.posts_per_minute is None else key.posts_per_minute

    def _limiter(self, limit: int) -> GCRARateLimiter:
        if limit not in self._limiters:
            self._limiters[limit] = GCRARateLimiter(per_min(limit), self._store)
        return self._limiters[limit]

    def look(self, key: KeyEntry | None) -> None:
        """Nothing; takes nothing either. For before a body is read.

        Raises:
            RateLimitedError: when the key has not one post left.
        """
        if limit := self._limit(key):
            state = self._limiter(limit).peek(_owner(key))
            if state.remaining < 1:
                raise _refusal(_owner(key), 1, limit, state)

    def take(self, key: KeyEntry | None, posts: int) -> Mapping[str, str]:
        """What an answer must say of the limit, in headers, once `posts` are taken off what the key has left.

        Raises:
            RateLimitedError: when it has not so many left; none is taken.
            InvalidPostError: when it never will have.
        """
        limit = self._limit(key)
        if not limit:
            return {}
        if posts > limit:
            raise _never(_owner(key), posts, limit)
        taken = self._limiter(limit).limit(_owner(key), posts)
        if taken.limited:
            raise _refusal(_owner(key), posts, limit, taken.state)
        return _headers(limit, taken.state)
