"""The pages put together: which there are, in which order, and what is said where there is none."""

from collections.abc import Callable
from http import HTTPStatus
from logging import getLogger

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from serving.errors import NotReadyError
from serving.journal.database import Database
from serving.workbench.access import Gate, SignInError, check_token, read_form
from serving.workbench.bench import Bench
from serving.workbench.cockpit.page import DEFAULT_SPAN, CockpitPages
from serving.workbench.cockpit.page import PATH as COCKPIT
from serving.workbench.cockpit.rounds import Rounds
from serving.workbench.confusion.page import ConfusionPages
from serving.workbench.confusion.scorings import Scorings
from serving.workbench.confusion.sources import Shelf
from serving.workbench.corrections.page import CorrectionPages
from serving.workbench.pages import Pages, Place, Shielded
from serving.workbench.review.page import ReviewPages
from serving.workbench.risk.page import RiskPages
from serving.workbench.rules.page import RulePages
from serving.workbench.sessions import Session, Sessions
from serving.workbench.thresholds.page import ThresholdPages
from serving.workbench.visits import FORM_PARTS, HOME, LOGIN, Desk, Visit, for_readers, safe_target
from serving.workbench.why.page import WhyPages
from serving.workbench.worker import Worker

LOG = getLogger("signalbox.workbench")
PLACES = (
    Place("/qa", "Overview", "h", "what is in service, and the way to everything else"),
    Place("/qa/cockpit", "Cockpit", "k", "what comes in now, what became of it, and the crisis brake"),
    Place("/qa/confusion", "Confusion", "c", "what a bundle takes for what, down to each post"),
    Place("/qa/review", "Review", "r", "posts to read next, one key a label"),
    Place("/qa/corrections", "Corrections", "x", "what posts should have been called, and the way to training"),
    Place("/qa/rules", "Rules", "u", "what no machine may answer, and what a rule has held back"),
    Place("/qa/why", "Why", "w", "one decision: what moved it, and what would flip it"),
    Place("/qa/thresholds", "Thresholds", "t", "what a risk budget comes to, and who approved it"),
    Place("/qa/risk", "Risk", "m", "whether the promise holds, by answers drawn at random and read"),
)
_TITLES = {
    403: "Not allowed",
    404: "No such page",
    405: "Not here",
    413: "Too large",
    503: "Not ready",
    504: "Too late",
}
_WORDS = {
    404: "There is no page at this address. Wanted: one of those in the navigation. Choose one there.",
    405: "This page does not take what was sent to it. Wanted: what its own forms send. Load the page again.",
}
_FAULT = (
    "The page failed through a fault of the server; nothing was changed by halves. Wanted: a page. Try it again, and "
    "report the X-Request-ID of this answer: the server's log has it."
)


_WHY_CHARACTERS = 500
"""Of the reason in an address; ours are shorter."""


def _errors(pages: Pages) -> dict[type[Exception] | int, Callable[[Request, Exception], Response]]:
    """What answers an error: a page, or its words alone where htmx asked for a part of one."""

    def answer(request: Request, status: int, words: str, headers: dict[str, str]) -> Response:
        if FORM_PARTS in request.headers:
            return Response(words, status, headers, "text/plain")
        title = _TITLES.get(status, "It failed")
        return pages.show(request, "error.html.j2", status=status, headers=headers, title=title, words=words)

    def known(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):  # starlette's signature says any, its router sends these
            return fault(request, error)
        own = error.detail != HTTPStatus(error.status_code).phrase
        words = error.detail if own else _WORDS.get(error.status_code, error.detail)
        return answer(request, error.status_code, words, dict(error.headers or {}))

    def fault(request: Request, _: Exception) -> Response:
        return answer(request, 500, _FAULT, {})

    return {HTTPException: known, Exception: fault}


def _sign_in(desk: Desk) -> list[Route]:
    gate, pages = desk.gate, desk.pages

    def form_for(request: Request, session: Session, target: str, problem: str, status: int = 200) -> Response:
        return pages.show(
            request,
            "login.html.j2",
            status=status,
            token=session.token,
            is_open=gate.is_open,
            target=target,
            problem=problem,
        )

    async def ask(request: Request) -> Response:
        gate.check_place(request)
        session, asked = gate.sessions.read(request) or gate.sessions.begin(), request.query_params
        page = form_for(request, session, safe_target(asked.get("next", HOME)), asked.get("why", "")[:_WHY_CHARACTERS])
        gate.sessions.keep(request, page, session)
        return page

    async def take(request: Request) -> Response:
        gate.check_place(request)
        form, session = await read_form(request), gate.sessions.read(request)
        check_token(request, session, form)
        target = safe_target(form.get("next", HOME))
        try:
            opened = gate.sign_in(form.get("key", ""))
        except SignInError as error:
            LOG.info("qa_sign_in_refused")
            return form_for(request, session or gate.sessions.begin(), target, error.message, status=401)
        LOG.info("qa_sign_in", extra={"fields": {"key_name": opened.name}})
        there = RedirectResponse(target, 303)
        gate.sessions.keep(request, there, opened)
        return there

    async def leave(_: Visit) -> Response:
        there = RedirectResponse(LOGIN, 303)
        gate.sessions.end(there)
        return there

    return [
        Route(LOGIN, ask, methods=["GET"]),
        Route(LOGIN, take, methods=["POST"]),
        Route("/qa/logout", for_readers(desk, leave), methods=["POST"]),
    ]


def _overview(desk: Desk, rounds: Rounds) -> Route:
    async def overview(visit: Visit) -> Response:
        try:
            parts, problem = await rounds.parts(DEFAULT_SPAN), ""
        except HTTPException as error:
            parts, problem = {}, error.detail
        try:
            champion = desk.bench.service.lineup().champion
        except NotReadyError:
            champion = None
        page = desk.pages.show(
            visit.request,
            "overview.html.j2",
            visit.reader,
            model=champion and champion.versions,
            journal=desk.bench.journal.health(),
            parts=parts,
            problem=problem,
            stream=f"{COCKPIT}/stream?span={DEFAULT_SPAN}",
        )
        page.background = BackgroundTask(rounds.prepare)
        return page

    return Route(HOME, for_readers(desk, overview))


def make_site(bench: Bench, worker: Worker, database: Database) -> ASGIApp:
    """The application of all pages, each under `/qa`, over the journal's database."""
    pages = Pages(PLACES, bench.brake.health, bench.settings.qa_notice)
    desk = Desk(bench, worker, Gate(bench.keys, Sessions()), pages, database)
    shelf = Shelf(bench.settings, bench.service, database)
    scorings = Scorings(shelf, worker)
    rounds = Rounds(desk, shelf, scorings)
    own = [Route("/qa/static/{name}", pages.static), *_sign_in(desk), _overview(desk, rounds)]
    confusion, thresholds = ConfusionPages(desk, shelf, scorings), ThresholdPages(desk, shelf, scorings)
    of_people = [*ReviewPages(desk).routes(), *CorrectionPages(desk).routes(), *RulePages(desk).routes()]
    routes = [*own, *CockpitPages(desk, rounds).routes(), *confusion.routes(), *of_people, *thresholds.routes()]
    routes += [*WhyPages(desk, shelf).routes(), *RiskPages(desk).routes()]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Shielded)],
        exception_handlers=_errors(pages),
    )
