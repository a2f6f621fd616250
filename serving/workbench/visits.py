"""A request of somebody who is signed in, and what stands between the network and a page: place, session, token."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.journal.database import Database
from serving.journal.faults import EntryRefusedError, StoreDownError
from serving.workbench.access import Gate, Reader, SignInError, check_token, read_form
from serving.workbench.bench import Bench
from serving.workbench.pages import Pages
from serving.workbench.worker import Worker

Found = TypeVar("Found")
HOME, LOGIN = "/qa", "/qa/login"
MAX_REASON_CHARACTERS = 500
FORM_PARTS = "HX-Request"
"""htmx says by this header that it asks for a part of a page."""


@contextmanager
def _journal_faults() -> Iterator[None]:
    try:
        yield
    except StoreDownError as error:
        raise HTTPException(
            503,
            f"The journal cannot be asked: its database answers {error.code}. Wanted: one that can. What is on the "
            "page stays; try it again in a moment. The server's log says the same.",
        ) from None
    except EntryRefusedError as error:
        raise HTTPException(
            422, f"Nothing was kept: the journal's database answers {error.code}. Wanted: other values. Correct them."
        ) from None


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page works with."""

    bench: Bench
    worker: Worker
    gate: Gate
    pages: Pages
    database: Database

    async def read(self, function: Callable[[Connection], Found]) -> Found:
        """What `function` finds in the journal.

        Raises:
            HTTPException: 503 when the journal cannot be asked.
        """
        with _journal_faults():
            return await self.worker.run(lambda: self.database.read(function))

    async def read_in_turns(self, steps: Generator[None, None, Found]) -> Found:
        """What steps that ask the journal come to; whatever else is to be computed comes in between.

        Raises:
            HTTPException: 503 when the journal cannot be asked.
        """
        with _journal_faults():
            return await self.worker.run_in_turns(steps)

    async def write(self, function: Callable[[Connection], Found]) -> Found:
        """What `function` makes of the journal; all that it writes is kept, or nothing.

        Raises:
            HTTPException: 503 when the journal cannot be written to now, 422 when it never takes this.
        """
        with _journal_faults():
            return await self.worker.run(lambda: self.database.write(function))


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


def reason_of(form: Mapping[str, str], what: str) -> str:
    """Why somebody does what a form asks for; `what` says what is not done without it.

    Raises:
        HTTPException: 422 when there is no reason.
    """
    reason = form.get("reason", "").strip()
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        raise HTTPException(
            422,
            f"{what}: the reason has {len(reason)} characters. Wanted: 1 to {MAX_REASON_CHARACTERS}, since it is kept "
            "with your name. Write why.",
        )
    return reason


def post_gone() -> HTTPException:
    """What answers a question about a post that is not in the journal."""
    return HTTPException(
        404,
        "There is no such post in the journal, or its text was deleted. Wanted: one that is there. Choose another.",
    )


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
        try:
            reader = desk.gate.reader(session)
        except SignInError as error:  # before the form is read: a stranger has no claim on our time
            return to_login(request, error.message)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            form = await read_form(request)
            check_token(request, session, form)
        return await page(Visit(request, reader, form))

    return endpoint
