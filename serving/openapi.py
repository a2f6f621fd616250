"""The interface described for programs (OpenAPI 3.1): what FastAPI knows of the answers, and the requests beside it.

Requests are parsed from bytes by `serving.requests`, so FastAPI does not see their models; they are added here.
"""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from serving.errors import ApiError
from serving.wire import (
    MAX_TIMEOUT_MS,
    TIMEOUT_HEADER,
    BatchRequest,
    ErrorResponse,
    FeedbackRequest,
    PredictRequest,
    ReloadRequest,
)

INTERFACE_VERSION = "1"
DESCRIPTION = """\
Says whether a machine may answer a public customer post, and who should if not.

Every answer that is not a success has one shape, and carries the fallback `agent`: no failure may end as an automatic
answer. Changes within this version only add; read an action that you do not know as `agent`.
"""
_REFERENCE = "#/components/schemas/{model}"

POST_FIELDS: dict[str, dict[str, str]] = {
    "PredictRequest": {
        "id": "The caller's own name for the post; given back as it is",
        "text": "What was posted, as it was posted",
        "platform": "Where it was posted",
        "lang": "ISO 639-1, where the platform says it; otherwise it is detected",
        "author": "What is known of the account",
        "reach": "How far the post has spread",
        "in_reply_to": "The message that it answers, usually the brand's",
        "posted_at": "ISO 8601 with a time zone; without it nothing is due",
    },
    "Author": {
        "handle": "With or without @",
        "followers": "Unknown is null, never 0",
        "verified": "The platform's own mark",
        "bio": "What the account says of itself",
    },
    "Reach": {
        "reposts": "How often it was passed on",
        "replies": "How many answered it",
        "likes": "How many liked it",
    },
}
"""What the fields of a request mean; docs/api.md lists the same."""


def body_of(model: type[BaseModel], *, timed: bool = True) -> dict[str, Any]:
    """The part of a route's description that names its request body, and the header that bounds its time."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    timeout = {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds within which the answer is wanted; lowers the server's own limit, never raises it",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"parameters": [timeout] if timed else [], "requestBody": body}


def judges(route: BaseRoute) -> bool:
    """True for a route that judges posts, and so heeds the header that bounds its time."""
    described = getattr(route, "openapi_extra", None) or {}
    return any(each["name"] == TIMEOUT_HEADER for each in described.get("parameters", ()))


def responses_of(*errors: type[ApiError], shape: type[BaseModel] = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """The part of a route's description that names its errors, all of one shape."""
    meanings: dict[int | str, str] = {}
    for error in errors:
        meanings[error.status] = " Or: ".join(filter(None, (meanings.get(error.status), error.meaning)))
    return {status: {"model": shape, "description": meaning} for status, meaning in meanings.items()}


def _request_schemas(further: Sequence[type[BaseModel]]) -> dict[str, Any]:
    models = [
        (model, "validation") for model in (PredictRequest, BatchRequest, FeedbackRequest, ReloadRequest, *further)
    ]
    _, schema = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type] # literals in a list
    definitions: dict[str, Any] = schema["$defs"]
    for model, fields in POST_FIELDS.items():
        for field, meaning in fields.items():
            definitions[model]["properties"][field]["description"] = meaning
    return definitions


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application; `app.state.request_models` are those of the dialects it speaks."""
    document = get_openapi(title="Signalbox", version=INTERFACE_VERSION, description=DESCRIPTION, routes=app.routes)
    document["components"]["schemas"] |= _request_schemas(app.state.request_models)
    return document


def as_text(document: dict[str, Any]) -> str:
    """The document as docs/openapi.json keeps it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
