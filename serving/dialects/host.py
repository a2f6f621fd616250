"""What a server lends to the dialects it speaks, and what a dialect is to the server."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, params
from pydantic import BaseModel

from serving.errors import ApiError
from serving.intake import Intake
from serving.wire import ModelResponse

MODEL_NAME = "signalbox"
"""What the model is called where an interface wants a name for it."""


@dataclass(frozen=True, slots=True)
class Host:
    """All that the routes of a dialect need of the server.

    `model` says what is in service, or raises `NotReadyError`; `needs_predict` lets through whose key may predict.
    """

    intake: Intake
    model: Callable[[], ModelResponse]
    needs_predict: params.Depends


@dataclass(frozen=True, slots=True)
class Dialect:
    """Another interface to the same answers: its routes, whose paths it `owns`, and the shape of its errors."""

    add_routes: Callable[[FastAPI, Host], None]
    owns: Callable[[str], bool]
    error_body: Callable[[ApiError], BaseModel]
    request_model: type[BaseModel]
