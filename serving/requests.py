"""Bytes of a request to a checked value, or to the error that says what is wrong with them.

Parsed straight from bytes by pydantic, so that broken JSON, wrong JSON and foreign bytes all end in one place, and
never echoed: of a refused value only its kind and size are said.
"""

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from serving.errors import (
    BadJsonError,
    BodyTooLargeError,
    ClientGoneError,
    DeadlineError,
    InvalidPostError,
    NotJsonContentError,
)
from serving.wire import MAX_TIMEOUT_MS, TIMEOUT_HEADER, BatchRequest, Detail, Limits, PredictRequest

AnyModel = TypeVar("AnyModel", bound=BaseModel)
MAX_DETAILS = 20
"""A batch can be wrong in thousands of places; the first few show what the caller's program does."""
_MAX_NAME_CHARACTERS = 80


JSON_MEDIA_TYPE = r"application/(?:[\w.-]+\+)?json"
"""What counts as declared as JSON: also what is JSON within, as `application/vnd.crm+json`."""


def _check_content_type(request: Request, media_type: str) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise NotJsonContentError(
            f"The body was not read: it is encoded as {encoding[:_MAX_NAME_CHARACTERS]}. "
            "Wanted: a body that is not compressed. Send it without `Content-Encoding`."
        )
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not re.fullmatch(media_type, declared):
        raise NotJsonContentError(
            f"The body was not read: it is declared as {declared[:_MAX_NAME_CHARACTERS] or 'nothing'}. "
            "Wanted: application/json. Send the header `Content-Type: application/json`."
        )


def _too_large(limit_bytes: int, got: str) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The body was not read to its end: it has {got} bytes. Allowed: {limit_bytes} bytes. "
        "Send fewer posts in one batch, or raise SIGNALBOX_MAX_BODY_BYTES."
    )


_ALLOWED_TIMEOUT = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


def read_timeout_ms(headers: Headers) -> int | None:
    """The milliseconds within which the client wants its answer; `None` where it says nothing.

    Raises:
        InvalidPostError: when it says something else than one whole number of 1 to 600,000.
    """
    said = headers.getlist(TIMEOUT_HEADER)
    if not said:
        return None
    if len(said) == 1 and _ALLOWED_TIMEOUT.fullmatch(said[0]) and int(said[0]) <= MAX_TIMEOUT_MS:
        return int(said[0])
    got = f"{len(said)} values" if len(said) > 1 else _size(said[0])
    wanted = f"one whole number of milliseconds, 1 to {MAX_TIMEOUT_MS}"
    raise InvalidPostError(
        f"The request is not valid at {TIMEOUT_HEADER}: got {got}; wanted: {wanted}. Correct it or leave it out.",
        details=[Detail(field=TIMEOUT_HEADER, code="timeout_invalid", got=got, wanted=wanted)],
    )


async def _read(request: Request, limit_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit_bytes:
        raise _too_large(limit_bytes, declared[:20])
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit_bytes:
                raise _too_large(limit_bytes, f"more than {limit_bytes}")
    except ClientDisconnect:
        raise ClientGoneError("The body ended early: the client went away. Wanted: all of it. Send it again.") from None
    return bytes(body)


async def read_body(
    request: Request, *, limit_bytes: int, deadline_s: float, media_type: str = JSON_MEDIA_TYPE
) -> bytes:
    """The body of a request, read up to the limit and, on the loop's clock, the deadline.

    Its declared media type must be all of the expression `media_type`.

    Raises:
        NotJsonContentError: when it is declared as something else, or not at all.
        BodyTooLargeError: when it is larger, said so or not.
        DeadlineError: when it does not arrive in time.
    """
    _check_content_type(request, media_type)
    try:
        async with asyncio.timeout_at(deadline_s):
            return await _read(request, limit_bytes)
    except TimeoutError:
        raise DeadlineError(
            "The request was given up: its body did not arrive before the deadline. Wanted: the whole body within "
            "SIGNALBOX_REQUEST_TIMEOUT_MS. Give the post to an agent, or send it again."
        ) from None


def _size(value: object) -> str:
    """The kind and size of a value, never the value."""
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Sequence):
        return f"an array of {len(value)}"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "something else")


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `Author | None` or `tuple[PredictRequest, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_of(part))), None)


def _known_fields(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The names that are allowed where `path` leads, seen from `model`."""
    current: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and current is not None:
            current = _model_of(current.model_fields[part].annotation)
    return [field.alias or name for name, field in current.model_fields.items()] if current else []


def _detail(error: ErrorDetails, model: type[BaseModel], place: str | None) -> Detail:
    *path, last = error["loc"] or ("",)
    shown = (place, *error["loc"][1:]) if place else error["loc"]
    field = ".".join(str(part)[:_MAX_NAME_CHARACTERS] for part in shown) or "the whole body"
    if error["type"] == "extra_forbidden":
        known = _known_fields(model, tuple(path))
        near = difflib.get_close_matches(str(last)[:_MAX_NAME_CHARACTERS], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Detail(field=field, code="unknown_field", got="a field", wanted=f"one of {', '.join(known)}{hint}")
    got = "nothing" if error["type"] == "missing" else _size(error["input"])
    return Detail(field=field, code=error["type"], got=got, wanted=error["msg"])


def _invalid(details: Sequence[Detail], more: int = 0) -> InvalidPostError:
    first, others = details[0], f" (and {more} more)" if more else ""
    return InvalidPostError(
        f"The request is not valid at {first.field}{others}: got {first.got}; wanted: {first.wanted}. "
        "Correct the fields named in details and send it again; docs/api.md lists all fields.",
        details=details,
    )


def invalid_value(field: str, value: object, *, wanted: str, code: str) -> InvalidPostError:
    """The refusal of one value that no model knows how to refuse; of the value its kind and size are said."""
    return _invalid([Detail(field=field, code=code, got=_size(value), wanted=wanted)])


def _explain(
    error: ValidationError, model: type[BaseModel], place: str | None = None
) -> BadJsonError | InvalidPostError:
    errors = error.errors(include_url=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        where = errors[0]["msg"].removeprefix("Invalid JSON: ")
        return BadJsonError(
            f"The body could not be read as JSON: {where}. Wanted: one JSON object in UTF-8. "
            "Let a JSON library write it."
        )
    return _invalid([_detail(each, model, place) for each in errors[:MAX_DETAILS]], more=len(errors) - 1)


def parse(body: bytes, model: type[AnyModel], limits: Limits) -> AnyModel:
    """The request in `body`.

    Raises:
        BadJsonError: when it is not JSON.
        InvalidPostError: when a field is unknown, missing or not allowed.
    """
    try:
        return model.model_validate_json(body, context=limits)
    except ValidationError as error:
        raise _explain(error, model) from None


def parse_posts(values: Sequence[object], limits: Limits, *, place: str) -> list[PredictRequest]:
    """The posts in values that another interface brought, checked as those of a batch; `place` is their name there.

    Raises:
        InvalidPostError: when there are none or too many, or a field of one is unknown, missing or not allowed.
    """
    try:
        return BatchRequest.model_validate({"posts": values}, context=limits).posts
    except ValidationError as error:
        raise _explain(error, BatchRequest, place) from None
