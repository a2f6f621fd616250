"""The classifier's part of text-embeddings-inference: `POST /predict`, `GET /info`, `GET /health`.

It knows scores and no decision, so guards and thresholds do not show: who routes posts must use another interface.
Shapes follow its OpenAPI document (version 1.7.1).
"""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema
from starlette.responses import Response

from data.taxonomy import Route
from serving.dialects.host import MODEL_NAME, Dialect, Host
from serving.errors import PREDICT_ERRORS, ApiError, KeyMissingError, KeyRefusedError, NotReadyError
from serving.openapi import body_of, responses_of
from serving.requests import invalid_value, parse, parse_posts
from serving.wire import Detail, Fallback, ModelResponse, PredictRequest, PredictResponse, Share

ErrorType = Literal["validation", "overloaded", "unhealthy", "backend"]
_ERROR_TYPES: dict[int, ErrorType] = {429: "overloaded", 500: "backend", 503: "unhealthy", 504: "backend"}
_PATHS = frozenset({"/predict", "/info", "/health"})
_SEQUENCE = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}
_INPUTS_SCHEMA = {
    "description": "A post; a pair of a post and the message it answers; or a batch of [post] and [post, message]",
    "oneOf": [{"type": "string"}, _SEQUENCE, {"type": "array", "items": _SEQUENCE, "minItems": 1}],
    "examples": ["where do I track my parcel?"],
}
_WANTED = "a text, a pair [text, message it answers], or a batch of these, each a list: [[text], [text, message]]"


class TeiRequest(BaseModel):
    """One post or many, as text-embeddings-inference takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[JsonValue, WithJsonSchema(_INPUTS_SCHEMA)]
    truncate: bool | None = Field(default=None, description="False refuses a post that is longer than the model reads")
    truncation_direction: Literal["Right"] = "Right"
    raw_scores: Literal[False] = Field(default=False, description="There are only calibrated probabilities")


class TeiPrediction(BaseModel):
    """One route and its calibrated probability."""

    score: Share
    label: Route


class TeiError(BaseModel):
    """An error as text-embeddings-inference says it, with the fallback that the caller should take."""

    error: str
    error_type: ErrorType
    details: tuple[Detail, ...]
    fallback: Fallback = Fallback()


class TeiInfo(BaseModel):
    """What is in service; of what text-embeddings-inference would tell, that which there is here."""

    model_id: str
    model_sha: str | None = Field(description="SHA-256 of the ONNX graph")
    model_dtype: str
    model_type: dict[Literal["classifier"], dict[str, dict[str, Any]]]
    max_concurrent_requests: int
    max_client_batch_size: int
    auto_truncate: bool
    version: str


def _sequences(inputs: JsonValue) -> tuple[list[JsonValue], bool]:
    """The sequences of a request, and whether they are a batch: told by the first element, as the original does."""
    if not isinstance(inputs, list):
        return [[inputs]], False
    if inputs and isinstance(inputs[0], list):
        return inputs, True
    return [inputs], False


def _post(sequence: JsonValue) -> dict[str, JsonValue]:
    match sequence:
        case [str() as text]:
            return {"text": text}
        case [str() as text, str() as message]:
            return {"text": text, "in_reply_to": message}
    raise invalid_value("inputs", sequence, wanted=_WANTED, code="not_a_sequence")


def _scores(answer: PredictResponse) -> list[TeiPrediction]:
    ranked = sorted(answer.route.probabilities.items(), key=lambda item: -item[1])
    return [TeiPrediction(score=score, label=label) for label, score in ranked]


def _check_length(posts: list[PredictRequest], answers: list[PredictResponse]) -> None:
    for number, (post, answer) in enumerate(zip(posts, answers, strict=True)):
        if answer.truncated:
            wanted = "a post that the model reads to its end, or `truncate` as true"
            raise invalid_value(f"inputs.{number}", post.text, wanted=wanted, code="too_long")


def _error_body(error: ApiError) -> TeiError:
    kind = _ERROR_TYPES.get(error.status, "validation")
    return TeiError(error=error.detail, error_type=kind, details=error.details)


def _info(model: ModelResponse, host: Host) -> TeiInfo:
    names = {str(number): label for number, label in enumerate(model.labels.route)}
    numbers = {label: number for number, label in enumerate(model.labels.route)}
    return TeiInfo(
        model_id=MODEL_NAME,
        model_sha=model.files.get("model.onnx"),
        model_dtype=model.precision,
        model_type={"classifier": {"id2label": names, "label2id": numbers}},
        max_concurrent_requests=host.intake.settings.queue_posts,
        max_client_batch_size=model.limits.batch_posts,
        auto_truncate=False,
        version=model.versions.model,
    )


def _add_routes(app: FastAPI, host: Host) -> None:
    intake = host.intake

    @app.post(
        "/predict",
        summary="Scores of one post or many, as text-embeddings-inference gives them",
        tags=["text-embeddings-inference"],
        dependencies=[host.needs_predict],
        responses=responses_of(*PREDICT_ERRORS, shape=TeiError),
        openapi_extra=body_of(TeiRequest),
    )
    async def predict(request: Request) -> list[TeiPrediction] | list[list[TeiPrediction]]:
        """Probabilities of the four routes, the most probable first: one list for one post, a list of lists for many.

        Scores hold no decision: a guard may want a specialist for a post that scores `simple`.
        """
        asked = parse(await intake.read(request), TeiRequest, intake.limits)
        sequences, many = _sequences(asked.inputs)
        posts = parse_posts([_post(each) for each in sequences], intake.limits, place="inputs")
        answers = await intake.judge(request, posts, bulk=len(posts) > 1)
        if not asked.truncate:
            _check_length(posts, answers)
        scores = [_scores(answer) for answer in answers]
        return scores if many else scores[0]

    @app.get(
        "/info",
        summary="What is in service, as text-embeddings-inference tells it",
        tags=["text-embeddings-inference"],
        dependencies=[host.needs_predict],
        responses=responses_of(KeyMissingError, KeyRefusedError, NotReadyError, shape=TeiError),
    )
    async def info() -> TeiInfo:
        """The model, its labels and its limits."""
        return _info(host.model(), host)

    @app.get(
        "/health",
        summary="A model answers, as text-embeddings-inference says it",
        tags=["text-embeddings-inference"],
        response_class=Response,
        responses=responses_of(NotReadyError, shape=TeiError),
    )
    async def health() -> Response:
        """Empty where a model answers."""
        host.model()
        return Response()


DIALECT = Dialect(add_routes=_add_routes, owns=_PATHS.__contains__, error_body=_error_body, request_model=TeiRequest)
