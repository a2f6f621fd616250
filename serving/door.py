"""The first thing a request to be judged meets: under overload it is turned away before anything is spent on it.

A refusal costs the same core that answers others. Here it comes before routing, key and body, at a third of the cost.
Whom it turns away says `Service.check`: where a worker is free, who would be refused anyway; else who comes with a post
as long as others of late.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import ErrorWriter, InvalidPostError, NotReadyError, OverloadedError
from serving.observer import known_record
from serving.requests import read_timeout_ms
from serving.service import Service


class Door:
    """Middleware within the observer. `routes` are those that judge posts, by path; all others go through."""

    def __init__(self, app: ASGIApp, service: Service, *, routes: Mapping[str, BaseRoute], write: ErrorWriter) -> None:
        self._app = app
        self._service = service
        self._routes = routes
        self._write = write

    def _refusal(self, scope: Scope) -> OverloadedError | None:
        record = known_record(scope)
        if record is None or scope["type"] != "http" or scope["path"] not in self._routes or scope["method"] != "POST":
            return None
        try:
            record.heed(read_timeout_ms(Headers(scope=scope)))
            self._service.check(deadline_s=record.deadline_s)
        except OverloadedError as error:
            record.error_code = error.code
            return error
        except (InvalidPostError, NotReadyError):
            return None  # said by the route, in its own words
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request, or turns it away."""
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = self._routes[scope["path"]]  # counted under its path, as if it had got there
            await self._write(refusal, scope["path"])(scope, receive, send)
