"""The routes that change the model in service. Only with a key of the scope `admin`; closed without a keys file."""

from typing import Any

from fastapi import FastAPI, Request, params

from serving.changeover import Changeover
from serving.engine import ServedModel
from serving.errors import (
    AdminClosedError,
    BadJsonError,
    BodyTooLargeError,
    BundleRefusedError,
    DeadlineError,
    InternalError,
    InvalidPostError,
    KeyMissingError,
    KeyRefusedError,
    LineupConflictError,
    NotJsonContentError,
    NotReadyError,
    ReloadRunningError,
)
from serving.lineup import Lineup
from serving.observer import record_of
from serving.openapi import body_of, responses_of
from serving.requests import parse, read_body
from serving.service import Service
from serving.wire import Limits, LineupResponse, ReloadRequest, ReloadResponse, ServedAnswer

_MAX_BODY_BYTES = 16 * 1024
"""A path and three words."""
_CLOSED = (KeyMissingError, KeyRefusedError, AdminClosedError, NotReadyError)
_CHANGE_ERRORS = (*_CLOSED, ReloadRunningError, LineupConflictError, InternalError)
_RELOAD_ERRORS = (
    BadJsonError, *_CLOSED, ReloadRunningError, BodyTooLargeError, NotJsonContentError, InvalidPostError,
    BundleRefusedError, InternalError, DeadlineError,
)  # fmt: skip


def _served(model: ServedModel) -> ServedAnswer:
    return ServedAnswer(versions=model.versions, bundle=str(model.predictor.bundle.directory))


def describe_lineup(lineup: Lineup) -> LineupResponse:
    """A lineup as it is answered."""
    challenger = lineup.challenger
    return LineupResponse(
        champion=_served(lineup.champion),
        previous=_served(lineup.previous) if lineup.previous else None,
        challenger=challenger.described() if challenger else None,
        sample=challenger.tally.sample if challenger else (),
    )


def _who(request: Request) -> str:
    """The name of the key that asks. The routes are closed without one."""
    key = record_of(request).key
    return key.name if key else "nobody"


def add_admin_routes(app: FastAPI, service: Service, changeover: Changeover, allowed: params.Depends) -> None:
    """Adds the routes, each behind the dependency `allowed`."""

    def options(*errors: Any) -> dict[str, Any]:
        return {"responses": responses_of(*errors), "dependencies": [allowed], "tags": ["admin"]}

    @app.get("/v1/admin/lineup", summary="Every model in service", **options(*_CLOSED))
    async def lineup() -> LineupResponse:
        """Champion, previous champion and challenger, and what the newest disagreements are."""
        return describe_lineup(service.lineup())

    @app.post(
        "/v1/admin/reload",
        summary="Load a bundle and put it in service",
        openapi_extra=body_of(ReloadRequest, timed=False),
        **options(*_RELOAD_ERRORS),
    )
    async def reload(request: Request) -> ReloadResponse:
        """Loaded, verified, warmed and compared beside the models in service, then swapped at once, or not at all."""
        deadline_s = record_of(request).deadline_s
        body = await read_body(request, limit_bytes=_MAX_BODY_BYTES, deadline_s=deadline_s)
        after, golden = await changeover.reload(parse(body, ReloadRequest, Limits()), by=_who(request))
        return ReloadResponse(lineup=describe_lineup(after), golden=golden)

    @app.post("/v1/admin/promote", summary="Make the challenger champion", **options(*_CHANGE_ERRORS))
    async def promote(request: Request) -> LineupResponse:
        """The challenger answers everything; the old champion is kept to go back to."""
        return describe_lineup(changeover.promote(by=_who(request)))

    @app.post("/v1/admin/rollback", summary="Go back to the previous champion", **options(*_CHANGE_ERRORS))
    async def rollback(request: Request) -> LineupResponse:
        """The previous champion answers again, at once: it is still in memory. A second time undoes it."""
        return describe_lineup(changeover.rollback(by=_who(request)))

    @app.post("/v1/admin/retire", summary="Take the challenger out of service", **options(*_CHANGE_ERRORS))
    async def retire(request: Request) -> LineupResponse:
        """The champion answers everything, and nothing is compared any more."""
        return describe_lineup(changeover.retire(by=_who(request)))
