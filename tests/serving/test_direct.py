"""The direct way to an endpoint: its dependencies in order, its answer as it is described, nothing else taken."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel
from starlette.testclient import TestClient

from serving.direct import DirectRoute
from serving.errors import KeyMissingError


class Answer(BaseModel):
    """What the endpoint gives."""

    text: str
    share: float | None = None


def app_with(*checks: Any) -> FastAPI:
    app = FastAPI()

    async def ask(request: Request) -> Answer:
        return Answer(text=f"{request.query_params['q']} é")

    dependencies = [Depends(check) for check in checks]
    app.router.add_api_route("/ask", ask, dependencies=dependencies, route_class_override=DirectRoute)
    return app


def test_the_answer_is_the_model_as_json() -> None:
    with TestClient(app_with()) as client:
        answer = client.get("/ask?q=who")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"text": "who é", "share": None}


def test_every_dependency_is_asked_in_order_before_the_endpoint_and_may_refuse() -> None:
    asked: list[str] = []

    async def first(_: Request) -> None:
        asked.append("first")

    async def second(_: Request) -> None:
        asked.append("second")
        raise KeyMissingError("No key.")

    async def third(_: Request) -> None:
        asked.append("third")

    with TestClient(app_with(first, second, third)) as client:
        assert client.get("/ask?q=who").status_code == KeyMissingError.status
    assert asked == ["first", "second"]


def test_it_is_described_as_any_other_route() -> None:
    described = app_with().openapi()["paths"]["/ask"]["get"]["responses"]["200"]["content"]["application/json"]
    assert described["schema"]["$ref"].endswith("/Answer")


def test_an_endpoint_that_takes_more_than_the_request_is_refused_when_the_route_is_made() -> None:
    async def ask(q: str) -> Answer:
        return Answer(text=q)

    with pytest.raises(TypeError, match="/ask takes more than the request"):
        FastAPI().router.add_api_route("/ask", ask, route_class_override=DirectRoute)
