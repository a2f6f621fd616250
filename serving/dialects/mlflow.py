"""The scoring protocol of MLflow 2 and later: `POST /invocations`, `GET /ping`, `GET /version`. JSON alone, no CSV.

A row is a post. Columns are its fields, those of author and reach with a dot (`author.followers`), as in the files that
`data` reads; an empty cell is a field that is not known.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Self

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import PlainTextResponse, Response

from serving.dialects.host import Dialect, Host
from serving.dialects.records import Record, record_of_answer
from serving.errors import PREDICT_ERRORS, ApiError, NotReadyError
from serving.openapi import body_of, responses_of
from serving.requests import invalid_value, parse, parse_posts
from serving.wire import Detail, Fallback

PROTOCOL_VERSION = "2.0"
"""The version of MLflow that this scoring protocol came with."""
_PATHS = frozenset({"/invocations", "/ping", "/version"})
_ERROR_CODES = {
    401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
"""The names that `mlflow.exceptions` has for these; every other status is a `BAD_REQUEST`."""
_FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MlflowSplit(_Wire):
    """A data frame as pandas splits it: `DataFrame.to_dict(orient="split")`."""

    columns: list[str]
    data: list[list[JsonValue]]
    index: list[JsonValue] | None = Field(default=None, description="Not read")


class MlflowParams(_Wire):
    """There are none."""


class MlflowRequest(_Wire):
    """Posts in exactly one of four forms."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataframe_records": [{"text": "where do I track my parcel?"}]}]}
    )

    dataframe_split: MlflowSplit | None = None
    dataframe_records: list[dict[str, JsonValue]] | None = None
    inputs: JsonValue = Field(default=None, description="Texts, posts, or an object of columns")
    instances: JsonValue = Field(default=None, description="The same")
    params: MlflowParams | None = None

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        given = [name for name in _FORMATS if getattr(self, name) is not None]
        if len(given) != 1:
            wanted = {"formats": ", ".join(_FORMATS), "given": ", ".join(given) or "none"}
            raise PydanticCustomError("not_one_format", "exactly one of {formats} (given: {given})", wanted)
        return self


class MlflowResponse(BaseModel):
    """One record for each post, in order."""

    predictions: list[Record]


class MlflowError(BaseModel):
    """An error as MLflow says it, with the fallback that the caller should take."""

    error_code: str
    message: str
    details: tuple[Detail, ...]
    fallback: Fallback = Fallback()


def _is_missing(cell: JsonValue) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _post(row: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A row as a post; a dotted name whose head is a column too stays as it is, to be refused."""
    flat: dict[str, JsonValue] = {}
    nested: dict[str, dict[str, JsonValue]] = {}
    for name, cell in row.items():
        head, dot, inner = name.partition(".")
        if _is_missing(cell):
            continue
        if dot and head not in row:
            nested.setdefault(head, {})[inner] = cell
        else:
            flat[name] = cell
    return {**flat, **nested}


def _post_of_value(value: JsonValue) -> JsonValue:
    """A text or a row as a post; anything else as it is, to be refused."""
    if isinstance(value, str):
        return {"text": value}
    return _post(value) if isinstance(value, dict) else value


def _rows_of_columns(columns: Mapping[str, JsonValue], place: str) -> Iterable[dict[str, JsonValue]]:
    cells = list(columns.values())
    lists = [each for each in cells if isinstance(each, list)]
    if len(lists) < len(cells) or len({len(each) for each in lists}) != 1:
        raise invalid_value(place, columns, wanted="columns that are lists of one length", code="not_columns")
    return (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))


def _rows_of_split(split: MlflowSplit) -> Iterable[dict[str, JsonValue]]:
    if len(set(split.columns)) < len(split.columns):
        wanted = "every column once"
        raise invalid_value("dataframe_split.columns", split.columns, wanted=wanted, code="repeated_column")
    for number, row in enumerate(split.data):
        if len(row) != len(split.columns):
            place, wanted = f"dataframe_split.data.{number}", f"{len(split.columns)} cells, one for each column"
            raise invalid_value(place, row, wanted=wanted, code="wrong_length")
    return (dict(zip(split.columns, row, strict=True)) for row in split.data)


def _rows(asked: MlflowRequest) -> tuple[str, list[object]]:
    """The form that was used, and its posts, not yet checked."""
    if asked.dataframe_split is not None:
        return "dataframe_split.data", [_post(row) for row in _rows_of_split(asked.dataframe_split)]
    if asked.dataframe_records is not None:
        return "dataframe_records", [_post(row) for row in asked.dataframe_records]
    place, value = ("inputs", asked.inputs) if asked.inputs is not None else ("instances", asked.instances)
    if isinstance(value, dict):
        return place, [_post(row) for row in _rows_of_columns(value, place)]
    if isinstance(value, list):
        return place, [_post_of_value(each) for each in value]
    raise invalid_value(place, value, wanted="a list of texts or posts, or an object of columns", code="not_posts")


def _error_body(error: ApiError) -> MlflowError:
    code = _ERROR_CODES.get(error.status, "BAD_REQUEST")
    return MlflowError(error_code=code, message=error.detail, details=error.details)


def _add_routes(app: FastAPI, host: Host) -> None:
    intake = host.intake

    @app.post(
        "/invocations",
        summary="Judge posts, as MLflow's scoring server does",
        tags=["MLflow"],
        dependencies=[host.needs_predict],
        responses=responses_of(*PREDICT_ERRORS, shape=MlflowError),
        openapi_extra=body_of(MlflowRequest),
    )
    async def invocations(request: Request) -> MlflowResponse:
        """One flat record for each post, in order. Act on `action`."""
        asked = parse(await intake.read(request), MlflowRequest, intake.limits)
        place, rows = _rows(asked)
        posts = parse_posts(rows, intake.limits, place=place)
        answers = await intake.judge(request, posts, bulk=len(posts) > 1)
        return MlflowResponse(predictions=[record_of_answer(answer) for answer in answers])

    @app.get(
        "/ping",
        summary="A model answers, as MLflow says it",
        tags=["MLflow"],
        response_class=Response,
        responses=responses_of(NotReadyError, shape=MlflowError),
    )
    async def ping() -> Response:
        """An empty line where a model answers."""
        host.model()
        return Response("\n", media_type="application/json")

    @app.get(
        "/version",
        summary="The version of MLflow whose scoring protocol this is",
        tags=["MLflow"],
        response_class=PlainTextResponse,
    )
    async def version() -> PlainTextResponse:
        """The version of the protocol, not of the model."""
        return PlainTextResponse(PROTOCOL_VERSION)


DIALECT = Dialect(add_routes=_add_routes, owns=_PATHS.__contains__, error_body=_error_body, request_model=MlflowRequest)
