"""Where the workbench hangs on the server. Owns that a server without it starts as before, and says what is missing.

Nothing of the pages is imported until one is asked for: a server that only judges pays neither memory nor start for
them. What is missing then, a dependency group or a journal, is answered on a plain page with what to do about it.
"""

import asyncio
from html import escape
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from data.dependencies import MissingGroupError, needs_group
from serving.journal.address import OFF
from serving.memory import keep_for_good
from serving.settings import variable
from serving.workbench.bench import Bench
from serving.workbench.worker import Worker

if TYPE_CHECKING:
    from serving.journal.database import Database

ROOT = "/qa"
METHODS = ("GET", "POST")
_NOTHING_RUNS = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store"}


def _no_journal() -> str:
    return (
        f"The workbench is closed: this server keeps no journal ({variable('journal')} is `{OFF}`), so there would be "
        "no decisions to look at and no place for corrections. Wanted: a database. Set "
        f"{variable('journal')}, for example to sqlite:///var/journal.db, and start the server again."
    )


def _refusal(message: str) -> HTMLResponse:
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Signalbox workbench: closed</title></head>'
        f"<body><main><h1>The workbench is closed</h1><p>{escape(message)}</p></main></body></html>"
    )
    return HTMLResponse(page, status_code=501, headers=_NOTHING_RUNS)


class Workbench:
    """The pages as one application; loaded at the first request, on the thread on which everything of them computes."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._worker = Worker()
        self._site: ASGIApp | None = None
        self._database: Database | None = None
        self._loading = asyncio.Lock()

    def _load(self) -> ASGIApp:
        with needs_group("workbench", "The workbench"):
            from serving.journal.database import open_database
            from serving.workbench.site import make_site

            self._worker.keep_alone()
        self._database = open_database(self._bench.settings)
        if self._database is None:
            raise TypeError("A workbench without a journal is refused before it is loaded.")
        site = make_site(self._bench, self._worker, self._database)
        keep_for_good()  # the libraries of the pages, which came with them
        return site

    async def _loaded(self) -> ASGIApp:
        async with self._loading:
            if self._site is None:
                self._site = await self._worker.run(self._load)
            return self._site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if self._bench.settings.journal == OFF:
            await _refusal(_no_journal())(scope, receive, send)
            return
        try:
            site = self._site or await self._loaded()
        except MissingGroupError as error:
            await _refusal(str(error))(scope, receive, send)
            return
        await site(scope, receive, send)

    def close(self) -> None:
        """Nothing; what the pages still compute is given up."""
        self._worker.close()
        if self._database is not None:
            self._database.close()


def add_workbench(app: FastAPI, bench: Bench) -> Workbench:
    """The workbench, after its routes were added to `app`; to be closed with it."""
    workbench = Workbench(bench)
    for path in (ROOT, f"{ROOT}/{{page:path}}"):
        app.router.routes.append(Route(path, workbench, methods=METHODS, include_in_schema=False))
    return workbench
