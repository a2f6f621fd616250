"""The first thing a request meets: under overload it is turned away before anything is spent on it.

A refusal costs the same core that answers others. Here it comes when the head has been read, before there is a task,
routing, key or body (`docs/decisions/0017`). Turned away are posts that would not be done in
time: by the event loop, where too many others wait for it (`serving/turns.py`), or by the workers, as `Service.check`
has it.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from serving.errors import ErrorWriter, InvalidPostError, NotReadyError, OverloadedError
from serving.observer import Accounts, RequestRecord
from serving.requests import read_timeout_ms
from serving.service import Service
from serving.turns import Turns

WAITS = 2
"""A request that now waits for its turn has waited, at worst, as long to be read."""
_KEPT_ANSWERS = 512
"""Refusals differ by a few numbers; to write one again takes longer than all the rest of it."""
Added = Mapping[str, str]
"""Headers of one answer beside those of all like it."""


class Door:
    """Lets requests in or turns them away. `routes` are those that judge posts, by path; all others come in."""

    def __init__(
        self,
        service: Service,
        accounts: Accounts,
        turns: Turns,
        *,
        routes: Mapping[str, BaseRoute],
        write: ErrorWriter,
    ) -> None:
        self._service = service
        self._accounts = accounts
        self._turns = turns
        self._routes = routes

        def written(message: str, retry_after_s: int, path: str) -> Response:
            return write(OverloadedError(message, retry_after_s=retry_after_s), path)

        self._written = lru_cache(maxsize=_KEPT_ANSWERS)(written)

    def let_in(self, scope: Scope) -> tuple[Response, Added] | None:
        """The answer to a request that is turned away, and headers to add; `None` where it has come in."""
        record = self._accounts.begin(scope)
        judges = scope["method"] == "POST" and scope["path"] in self._routes
        refusal = self._refusal(record, scope) if judges else None
        if refusal is None:
            record.place = self._turns.queue()
            return None
        scope["route"] = self._routes[scope["path"]]  # counted under its path, as if it had got there
        answer = self._written(refusal.detail, refusal.retry_after_s, scope["path"])
        record.status, record.error_code = answer.status_code, refusal.code
        self._accounts.end(record, scope)
        return answer, record.all_headers()

    def _refusal(self, record: RequestRecord, scope: Scope) -> OverloadedError | None:
        wait_s = WAITS * self._turns.wait_s
        try:
            record.heed(read_timeout_ms(Headers(scope=scope)))
            late_s = record.came_s + wait_s - record.deadline_s
            if late_s > 0:
                return _too_late(late_s)
            self._service.check(deadline_s=record.deadline_s - wait_s)
        except OverloadedError as error:
            return error
        except (InvalidPostError, NotReadyError):
            return None  # said by the route, in its own words
        return None


def _too_late(late_s: float) -> OverloadedError:
    return OverloadedError(
        f"The request was not accepted: going by those that were read before it, it would begin "
        f"{math.ceil(late_s * 1_000)} ms after its deadline. Wanted: fewer at a time. Send it again after Retry-After "
        "seconds, or give the post to an agent.",
        retry_after_s=max(1, math.ceil(late_s)),
    )
