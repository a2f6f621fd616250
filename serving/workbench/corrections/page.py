"""The addresses of the corrections: the list, the labelled files, and one that is withdrawn."""

from functools import partial

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from data.taxonomy import ROUTES
from serving.journal.corrections import (
    correction_choices,
    page_of_corrections,
    withdraw_correction,
)
from serving.journal.restoration import export
from serving.workbench.corrections.asked import Asked
from serving.workbench.corrections.downloads import as_jsonl, as_table
from serving.workbench.visits import Desk, Visit, for_readers, reason_of

PATH = "/qa/corrections"
LANG = "en"
"""Taken for posts too short to tell, as the command takes it."""


class CorrectionPages:
    """The pages over the journal."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/corrections.{{ending}}", readers(self.download)),
            Route(f"{PATH}/{{id}}/withdraw", readers(self.withdraw), methods=["POST"]),
        ]

    async def show(self, visit: Visit) -> Response:
        """The newest corrections that are asked for, and what to choose by."""
        asked, after = Asked.read(visit.query), visit.query.get("after")
        try:
            page, choices = await self._desk.read(
                lambda each: (page_of_corrections(each, asked.wanted, after=after), correction_choices(each))
            )
        except ValueError:
            raise HTTPException(
                404, "There is no such page of corrections. Wanted: one that this page leads to. Begin at the newest."
            ) from None
        return self._desk.pages.show(
            visit.request, "corrections.html.j2", visit.reader, asked=asked, page=page, choices=choices, routes=ROUTES
        )

    async def download(self, visit: Visit) -> Response:
        """The corrections that are asked for as labelled posts."""
        make = {"jsonl": as_jsonl, "csv": as_table}.get(visit.request.path_params["ending"])
        if make is None:
            raise HTTPException(404, "There is no such file. Wanted: JSONL or CSV. Choose one on the page.")
        wanted = Asked.read(visit.query).wanted
        return make(await self._desk.read(lambda each: export(each, wanted, lang=LANG)))

    async def withdraw(self, visit: Visit) -> Response:
        """Takes a correction back, with a reason; it stays on record."""
        correction_id, reason = (
            visit.request.path_params["id"],
            reason_of(visit.form, "The correction was not withdrawn"),
        )
        if not await self._desk.write(
            lambda each: withdraw_correction(each, correction_id, by=visit.reader.name, reason=reason)
        ):
            raise HTTPException(
                409, "The correction was not withdrawn: it is so already, or there is none. Load the page again."
            )
        return RedirectResponse(f"{PATH}#{correction_id}", 303)
