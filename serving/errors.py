"""Everything that the server refuses or fails at, in the one shape of the design's section 5.

    ApiError
    |- BadJsonError          400  the body is not JSON
    |- KeyMissingError       401  a key is needed and none, or an unknown one, was sent
    |- KeyRefusedError       403  the key is known and may not do this
    |- AdminClosedError      403  without a keys file nobody may change the model in service
    |- NotFoundError         404
    |- PredictionUnknownError 404 the journal has no such prediction
    |- MethodNotAllowedError 405
    |- ReloadRunningError    409  a bundle is being loaded
    |- LineupConflictError   409  there is no such model to promote, retire or go back to
    |- BodyTooLargeError     413
    |- NotJsonContentError   415  the body is not declared as JSON
    |- InvalidPostError      422  JSON, and not a valid request
    |- BundleRefusedError    422  a bundle that may not serve
    |- OverloadedError       429  the queue is full, or what is before it takes too long
    |- RateLimitedError      429  the key has sent more posts than it may
    |- ClientGoneError       499  the client went away
    |- InternalError         500
    |- NotReadyError         503  starting, draining or failed
    |- JournalClosedError    503  there is no journal, or it cannot be written to now
    '- DeadlineError         504

Every body carries the fallback `agent`: no failure may end as an automatic answer. Messages hold the four facts and
never what was sent, only its kind and size.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.wire import Detail, ErrorBody, ErrorResponse


class ApiError(HTTPException):
    """A request that is not answered; subclasses own their status and code."""

    status: ClassVar[int]
    code: ClassVar[str]
    meaning: ClassVar[str]

    def __init__(
        self, message: str, *, details: Sequence[Detail] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(self.status, detail=message, headers=dict(headers or {}))
        self.details = tuple(details)

    def body(self) -> ErrorResponse:
        """The error as it is sent."""
        return ErrorResponse(error=ErrorBody(code=self.code, message=self.detail, details=self.details))


class BadJsonError(ApiError):
    """The body could not be read as JSON."""

    status, code, meaning = 400, "bad_json", "The body is not JSON."


class KeyMissingError(ApiError):
    """No key, or one that is not in the keys file."""

    status, code, meaning = 401, "key_missing", "An API key is needed, and none or an unknown one was sent."

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class KeyRefusedError(ApiError):
    """A known key that has expired or lacks the scope."""

    status, code, meaning = 403, "key_refused", "The API key has expired or lacks the scope of this route."


class AdminClosedError(ApiError):
    """A change of the model in service where nobody can say who asks."""

    status, code, meaning = 403, "admin_closed", "Without a keys file the model in service is not changed over HTTP."

    def __init__(self) -> None:
        super().__init__(
            "The request was not read: this server has no keys file, so any page in a browser on this machine could "
            "send it. Wanted: a key with the scope admin. Set SIGNALBOX_API_KEYS_FILE, or send the process SIGHUP."
        )


class NotFoundError(ApiError):
    """There is nothing at that path."""

    status, code, meaning = 404, "not_found", "There is nothing at this path."


class PredictionUnknownError(ApiError):
    """A correction of what is not in the journal."""

    status, code, meaning = 404, "prediction_unknown", "The journal has no such prediction, or not yet, or no more."

    def __init__(self, prediction_id: str) -> None:
        super().__init__(
            f"The correction was not kept: the journal has no prediction {prediction_id}. Wanted: one that was "
            "answered, has been written (which takes a second at most) and is not yet deleted. Correct it, or send it "
            "again in a moment."
        )


class MethodNotAllowedError(ApiError):
    """The path is there, and not for that method."""

    status, code, meaning = 405, "method_not_allowed", "This path is not for this method."


class ReloadRunningError(ApiError):
    """A change while another one is being made."""

    status, code, meaning = 409, "reload_running", "A bundle is being loaded; nothing else is changed meanwhile."

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed: a bundle is being loaded. Allowed: one change at a time. Send it again after "
            "Retry-After seconds.",
            headers={"Retry-After": "1"},
        )


class LineupConflictError(ApiError):
    """A change that the models in service do not allow."""

    status, code, meaning = 409, "lineup_conflict", "There is no model in service to promote, retire or go back to."


class BodyTooLargeError(ApiError):
    """More bytes than the server reads."""

    status, code, meaning = 413, "body_too_large", "The body is larger than the server reads."


class NotJsonContentError(ApiError):
    """A body that is not declared as JSON."""

    status, code, meaning = 415, "not_json_content", "The body is not declared as `application/json`."


class InvalidPostError(ApiError):
    """JSON, and not a valid request."""

    status, code, meaning = 422, "invalid_post", "The body is JSON, and not a valid request; details name the fields."


class BundleRefusedError(ApiError):
    """A bundle that may not serve. The one in service stays."""

    status, code, meaning = 422, "bundle_refused", "The bundle may not serve; the model in service was not changed."


class OverloadedError(ApiError):
    """The queue is full, or too long for the deadline."""

    status, code = 429, "overloaded"
    meaning = "The queue is full, or too long for the deadline; `Retry-After` says when it should fit."

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_s)})
        self.retry_after_s = retry_after_s


class RateLimitedError(ApiError):
    """More posts than the key may send."""

    status, code, meaning = 429, "rate_limited", "The key has used up its posts; `Retry-After` says when it has enough."

    def __init__(self, message: str, *, retry_after_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(message, headers={**headers, "Retry-After": str(retry_after_s)})


class ClientGoneError(ApiError):
    """The client went away before its answer. Nobody reads this; it is for the log and the metrics."""

    status, code, meaning = 499, "client_gone", "The client went away; only the log and the metrics see this."


class InternalError(ApiError):
    """A fault of the server. Says nothing of it but where to look."""

    status, code, meaning = 500, "internal_error", "The server failed; its log has the request id."

    def __init__(self) -> None:
        super().__init__(
            "The request failed through a fault of the server. What was sent is not to blame and was not logged. "
            "Wanted: a prediction. Give the post to an agent, and report the X-Request-ID of this answer."
        )


class NotReadyError(ApiError):
    """The server starts, stops, or could not start."""

    status, code, meaning = 503, "not_ready", "The server is starting or draining."


class JournalClosedError(ApiError):
    """A correction that there is nowhere to keep."""

    status, code, meaning = 503, "journal_closed", "There is no journal, or it cannot be written to now."


class DeadlineError(ApiError):
    """The request was not answered in time."""

    status, code, meaning = 504, "deadline_missed", "The request was not answered in time."


API_ERRORS: tuple[type[ApiError], ...] = (
    BadJsonError, KeyMissingError, KeyRefusedError, AdminClosedError, NotFoundError,
    PredictionUnknownError, MethodNotAllowedError,
    ReloadRunningError, LineupConflictError, BodyTooLargeError, NotJsonContentError, InvalidPostError,
    BundleRefusedError, OverloadedError, RateLimitedError, ClientGoneError, InternalError, NotReadyError,
    JournalClosedError, DeadlineError,
)  # fmt: skip
"""All of them, by status."""
PREDICT_ERRORS: tuple[type[ApiError], ...] = (
    BadJsonError, KeyMissingError, KeyRefusedError, BodyTooLargeError, NotJsonContentError, InvalidPostError,
    OverloadedError, RateLimitedError, InternalError, NotReadyError, DeadlineError,
)  # fmt: skip
"""Those that a route which judges posts may answer with."""


ErrorWriter = Callable[[ApiError, str], Response]
"""The HTTP answer of an error on a path."""


def error_response(error: ApiError, body: BaseModel | None = None) -> Response:
    """The HTTP answer of an error, with a `body` of its own where another interface wants another shape.

    Any bytes in it are safe to send: what is not ASCII is escaped.
    """
    return Response(
        (body or error.body()).model_dump_json(ensure_ascii=True),
        status_code=error.status,
        media_type="application/json",
        headers=error.headers,
    )


def as_api_error(error: HTTPException, request: Request) -> ApiError:
    """The error in our words: those of the router (404, 405) become ours, anything else a fault of the server."""
    if isinstance(error, ApiError):
        return error
    if error.status_code == 404:
        return NotFoundError(
            "There is nothing at this path. Wanted: one of those in /openapi.json. Correct the path of the request."
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowedError(
            f"This path was asked with {request.method}. Allowed: {allowed}. Use that method.",
            headers={"Allow": allowed},
        )
    return InternalError()
