"""The way to an endpoint that every judged post takes: the same for FastAPI's description, and nothing between.

FastAPI solves dependencies, collects errors and looks up how to write the answer for each request anew. Here all that
is known beforehand: the endpoint takes the request and gives a model. What that saves stands in `docs/decisions/0017`.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request alone and gives a model; each of its dependencies takes it alone, too.

    Raises:
        TypeError: when it is made of an endpoint that takes anything else.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request: the dependencies in order, then the endpoint, its model written as JSON."""
        described = self.dependant
        if described.path_params or described.query_params or described.body_params or described.header_params:
            raise TypeError(
                f"The endpoint of {self.path} takes more than the request. Wanted: a route of FastAPI's own."
            )
        checks = [each.dependency for each in self.dependencies if each.dependency is not None]
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            for check in checks:
                await check(request)
            model: BaseModel = await endpoint(request)
            return Response(model.model_dump_json(), media_type="application/json")

        return answer
