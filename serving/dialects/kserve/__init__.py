"""The Open Inference Protocol, version 2, over HTTP, as KServe and Triton speak it, with binary tensor data.

One model, `signalbox`. Its input is the tensor `text`, or `post` where more than the text is known; its outputs are the
columns of an answer, the decision among them.
"""

import asyncio
from enum import Enum
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from serving.dialects.host import MODEL_NAME, Dialect, Host
from serving.dialects.kserve.inference import (
    HEADER_LENGTH,
    INPUTS,
    OUTPUTS,
    posts_of,
    response_of,
    split,
    wanted_outputs,
)
from serving.dialects.kserve.wire import (
    InferRequest,
    InferResponse,
    KserveError,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from serving.dialects.records import record_of_answer
from serving.errors import PREDICT_ERRORS, ApiError, KeyMissingError, KeyRefusedError, NotFoundError, NotReadyError
from serving.observer import record_of
from serving.openapi import INTERFACE_VERSION, body_of, responses_of
from serving.requests import JSON_MEDIA_TYPE, parse
from serving.wire import Versions

_PREFIX = "/v2"
_MODEL = f"{_PREFIX}/models/{MODEL_NAME}"
_VERSION = f"{_MODEL}/versions/{{version}}"
_MEDIA_TYPE = rf"(?:{JSON_MEDIA_TYPE}|application/octet-stream)?"
"""Clients of the protocol declare nothing at all where a body is JSON."""
_TAGS: list[str | Enum] = ["Open Inference Protocol"]


def _check_version(asked: str | None, versions: Versions) -> None:
    if asked not in (None, versions.model):
        raise NotFoundError(
            "There is no such version of the model. Wanted: the one in service, which the model's metadata name. "
            "Ask for that, or for none."
        )


def _metadata(version: str) -> ModelMetadata:
    return ModelMetadata(
        name=MODEL_NAME,
        versions=(version,),
        platform="onnxruntime_onnx",
        inputs=tuple(TensorMetadata(name=name, datatype="BYTES", shape=(-1,)) for name in INPUTS),
        outputs=tuple(
            TensorMetadata(name=name, datatype=output.datatype, shape=(-1, *output.width))
            for name, output in OUTPUTS.items()
        ),
    )


def _error_body(error: ApiError) -> KserveError:
    return KserveError(error=error.detail, details=error.details)


def _owns(path: str) -> bool:
    return path == _PREFIX or path.startswith(f"{_PREFIX}/")


def _lower_deadline(request: Request, timeout_us: int) -> None:
    """Nothing; the request may from now take no longer than the protocol's own parameter allows."""
    record, now_s = record_of(request), asyncio.get_running_loop().time()
    record.deadline_s = min(record.deadline_s, now_s + timeout_us / 1_000_000)


def _add_server_routes(app: FastAPI, host: Host) -> None:
    @app.get(_PREFIX, summary="What the server is", tags=_TAGS)
    async def server() -> ServerMetadata:
        """Its name, the version of its interface, and the extension for binary tensors."""
        return ServerMetadata(name=MODEL_NAME, version=INTERFACE_VERSION, extensions=("binary_tensor_data",))

    @app.get(f"{_PREFIX}/health/live", summary="The process is alive", tags=_TAGS)
    async def live() -> ServerLive:
        """Alive. Says nothing of the model."""
        return ServerLive(live=True)

    @app.get(
        f"{_PREFIX}/health/ready",
        summary="A model answers",
        tags=_TAGS,
        responses=responses_of(NotReadyError, shape=KserveError),
    )
    async def ready() -> ServerReady:
        """Ready once a model answers, until the server drains."""
        host.model()
        return ServerReady(ready=True)


def _add_model_routes(app: FastAPI, host: Host) -> None:
    options: dict[str, Any] = {
        "summary": "What the model takes and gives",
        "tags": _TAGS,
        "dependencies": [host.needs_predict],
    }
    errors = (KeyMissingError, KeyRefusedError, NotReadyError)

    @app.get(_MODEL, responses=responses_of(*errors, shape=KserveError), **options)
    async def metadata() -> ModelMetadata:
        """The inputs and outputs of the model, and its version in service."""
        return _metadata(host.model().versions.model)

    @app.get(_VERSION, responses=responses_of(*errors, NotFoundError, shape=KserveError), **options)
    async def version_metadata(version: str) -> ModelMetadata:
        """The same, where that version is in service."""
        _check_version(version, host.model().versions)
        return _metadata(version)


def _add_readiness_routes(app: FastAPI, host: Host) -> None:
    options: dict[str, Any] = {"summary": "The model answers", "tags": _TAGS}

    @app.get(f"{_MODEL}/ready", responses=responses_of(NotReadyError, shape=KserveError), **options)
    async def ready() -> ModelReady:
        """Ready once the model answers, until the server drains."""
        host.model()
        return ModelReady(name=MODEL_NAME, ready=True)

    @app.get(f"{_VERSION}/ready", responses=responses_of(NotFoundError, NotReadyError, shape=KserveError), **options)
    async def version_ready(version: str) -> ModelReady:
        """The same, where that version is in service."""
        _check_version(version, host.model().versions)
        return ModelReady(name=MODEL_NAME, ready=True)


async def _infer(request: Request, host: Host, version: str | None) -> Response:
    intake = host.intake
    body = await intake.read(request, media_type=_MEDIA_TYPE)
    header, binary = split(body, request.headers.get(HEADER_LENGTH))
    asked = parse(header, InferRequest, intake.limits)
    wanted = wanted_outputs(asked)
    posts = posts_of(asked, binary, intake.limits)
    if asked.parameters.timeout is not None:
        _lower_deadline(request, asked.parameters.timeout)
    answers = await intake.judge(request, posts, bulk=len(posts) > 1, mixed=False, version=version)
    for answer in answers:
        _check_version(version, answer.versions)
    return response_of(asked, wanted, [record_of_answer(answer) for answer in answers])


def _add_infer_routes(app: FastAPI, host: Host) -> None:
    options: dict[str, Any] = {
        "summary": "Judge posts that come as tensors",
        "tags": _TAGS,
        "dependencies": [host.needs_predict],
        "response_class": Response,
        "responses": {
            200: {"model": InferResponse, "content": {"application/octet-stream": {}}},
            **responses_of(*PREDICT_ERRORS, NotFoundError, shape=KserveError),
        },
        "openapi_extra": body_of(InferRequest),
    }

    @app.post(f"{_MODEL}/infer", **options)
    async def infer(request: Request) -> Response:
        """The columns of the answers as tensors, in JSON or in bytes. Act on `action`."""
        return await _infer(request, host, None)

    @app.post(f"{_VERSION}/infer", **options)
    async def version_infer(request: Request, version: str) -> Response:
        """The same, where that version of the model answers."""
        return await _infer(request, host, version)


def _add_routes(app: FastAPI, host: Host) -> None:
    _add_server_routes(app, host)
    _add_model_routes(app, host)
    _add_readiness_routes(app, host)
    _add_infer_routes(app, host)


DIALECT = Dialect(add_routes=_add_routes, owns=_owns, error_body=_error_body, request_model=InferRequest)
