"""Interfaces of other servers, so that their clients work unchanged: each reads and writes its own shapes, no more.

Every post goes the one way through `serving.intake`: the same limits, keys, deadlines and answers. Every error carries
the fallback `agent` beside what the dialect says of it.
"""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from serving.dialects import kserve, mlflow, tei
from serving.dialects.host import Dialect, Host
from serving.errors import ApiError, ErrorWriter, error_response
from serving.settings import DialectName

_DIALECTS: Mapping[DialectName, Dialect] = {"kserve": kserve.DIALECT, "mlflow": mlflow.DIALECT, "tei": tei.DIALECT}


def add_dialects(app: FastAPI, names: Sequence[DialectName], host: Host) -> list[type[BaseModel]]:
    """The models of the dialects' requests, after adding their routes to `app`."""
    for name in names:
        _DIALECTS[name].add_routes(app, host)
    return [_DIALECTS[name].request_model for name in names]


def error_writer(names: Sequence[DialectName]) -> ErrorWriter:
    """What gives an error the shape of the dialect that owns its path; elsewhere that of our own interface."""
    spoken = [_DIALECTS[name] for name in names]

    def write(error: ApiError, path: str) -> Response:
        owner = next((dialect for dialect in spoken if dialect.owns(path)), None)
        return error_response(error, owner.error_body(error) if owner else None)

    return write
