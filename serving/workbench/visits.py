"""A request of somebody who is signed in, and what stands between the network and a page: place, session, token."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.workbench.access import Gate, Reader, SignInError, check_token, read_form
from serving.workbench.bench import Bench
from serving.workbench.pages import Pages
from serving.workbench.worker import Worker

HOME, LOGIN = "/qa", "/qa/login"
FORM_PARTS = "HX-Request"
"""htmx says by this header that it asks for a part of a page."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page works with."""

    bench: Bench
    worker: Worker
    gate: Gate
    pages: Pages


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a reader; `form` is empty for one that changes nothing."""

    request: Request
    reader: Reader
    form: Mapping[str, str]

    @property
    def query(self) -> Mapping[str, str]:
        """What stands after the question mark, each name once."""
        return self.request.query_params


Page = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def safe_target(path: str) -> str:
    """The page to go to after signing in: one of these, whatever was asked for."""
    return path if path == HOME or path.startswith((f"{HOME}/", f"{HOME}?")) else HOME


def to_login(request: Request, message: str) -> Response:
    """The way to the page where one signs in, and back to where one was."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET" or FORM_PARTS in request.headers:
        back = HOME
    asked = {"next": back} | ({"why": message} if message else {})
    place = f"{LOGIN}?{urlencode(asked, quote_via=quote)}"
    if FORM_PARTS in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": place})
    return RedirectResponse(place, 303)


def for_readers(desk: Desk, page: Page) -> Endpoint:
    """The endpoint of a page that only those see who are signed in, and whose forms must come from their session."""

    async def endpoint(request: Request) -> Response:
        desk.gate.check_place(request)
        session = desk.gate.sessions.read(request)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            form = await read_form(request)
        try:
            reader = desk.gate.reader(session)
        except SignInError as error:
            return to_login(request, error.message)
        if request.method == "POST":
            check_token(request, session, form)
        return await page(Visit(request, reader, form))

    return endpoint
