"""The addresses of the confusion report: the page, its parts, its files. Owns which question goes where."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from data.rejects import SourceError
from data.taxonomy import ROUTES
from evaluation.report.cases import Case
from evaluation.summary import ACTIONS, Summary
from serving.workbench.confusion import downloads
from serving.workbench.confusion.ceiling import ceiling_file, read_ceiling
from serving.workbench.confusion.charts import charts_of
from serving.workbench.confusion.flips import Direction, comparable, compare, read_flips
from serving.workbench.confusion.report import cases_in, choices, figures, matrix, model_alpha, rows_of
from serving.workbench.confusion.scorings import Key, Scored, Scoring, Scorings
from serving.workbench.confusion.sources import IN_SERVICE, Shelf
from serving.workbench.confusion.spans import SPANS
from serving.workbench.confusion.where import Where
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/confusion"
_POSTS_OF_A_PART = 20
_HEADS = ("route", "intent")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for: labelled posts, a bundle, perhaps one to hold it against, and which of the posts."""

    posts: str
    bundle: str
    against: str
    where: Where

    @property
    def keys(self) -> tuple[Key, ...]:
        """The scorings that are needed."""
        bundles = (self.bundle, self.against) if self.against else (self.bundle,)
        return tuple((bundle, self.posts) for bundle in bundles)

    @property
    def query(self) -> str:
        """The same as an address."""
        chosen = {"posts": self.posts, "bundle": self.bundle} | ({"against": self.against} if self.against else {})
        return urlencode(chosen | self.where.as_query())

    def only(self, **changes: str) -> str:
        """The same with other filters; an empty one is taken away."""
        kept = {"posts": self.posts, "bundle": self.bundle, "against": self.against} | self.where.as_query() | changes
        return urlencode({name: value for name, value in kept.items() if value})


def _read(visit: Visit) -> Asked:
    source = visit.form or visit.query
    bundle, against = source.get("bundle") or IN_SERVICE, source.get("against", "")
    return Asked(source.get("posts", ""), bundle, against if against != bundle else "", Where.read(source))


def _missing(error: SourceError) -> HTTPException:
    return HTTPException(404, str(error))


class ConfusionPages:
    """The pages over one store of scorings."""

    def __init__(self, desk: Desk, shelf: Shelf, scorings: Scorings) -> None:
        self._desk = desk
        self._shelf = shelf
        self._scorings = scorings

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/score", readers(self.score), methods=["POST"]),
            Route(f"{PATH}/progress", readers(self.progress)),
            Route(f"{PATH}/posts", readers(self.posts)),
            Route(f"{PATH}/flips", readers(self.flips)),
            Route(f"{PATH}/confusion.json", readers(self._download(self._json))),
            Route(f"{PATH}/{{head}}.csv", readers(self._download(self._matrix))),
            Route(f"{PATH}/cases/posts.csv", readers(self._download(self._posts))),
            Route(f"{PATH}/picture/{{name}}.svg", readers(self.picture)),
        ]

    # the page

    def _found(self, asked: Asked) -> list[Scoring | None]:
        try:
            return [self._scorings.find(key) for key in asked.keys] if asked.posts else []
        except SourceError as error:
            raise _missing(error) from None

    def _scored(self, asked: Asked) -> list[tuple[Scoring, Scored]]:
        """The scorings that were asked for, all of them done.

        Raises:
            HTTPException: 409 when one is not.
        """
        found = self._found(asked)
        done = [(each, each.result) for each in found if each is not None and each.result is not None]
        if not done or len(done) < len(asked.keys):
            raise HTTPException(
                409,
                "There is no report on these posts by this bundle: it was not made, or the posts, the bundle or the "
                "server are others since. Wanted: a report that is ready. Open the confusion page again and let it "
                "score them.",
            )
        return done

    async def show(self, visit: Visit) -> Response:
        """The page: the choice, and below it the report, how far it is, or the offer to make it."""
        asked = _read(visit)
        found = self._found(asked)
        values: dict[str, Any] = {
            "asked": asked,
            "sets": [each.name for each in self._shelf.sets()],
            "spans": len(SPANS),
            "bundles": self._shelf.bundles(),
            "directory": str(self._desk.bench.settings.qa_posts),
            "scorings": found,
            "report": None,
        }
        if found and all(each is not None and each.state == "done" for each in found):
            values["report"] = await self._desk.worker.run(self._report, asked)
        return self._desk.pages.show(visit.request, "confusion.html.j2", visit.reader, **values)

    def _report(self, asked: Asked) -> dict[str, Any]:
        scorings = self._scored(asked)
        scoring, scored = scorings[0]
        summary = figures(scoring, scored, asked.where)
        values: dict[str, Any] = {"scored": scored, "summary": summary, "choices": choices(scored), "actions": ACTIONS}
        values["dated"] = bool((scored.days != "").any())
        if summary is None:
            return values
        path = self._shelf.find_set(asked.posts).path
        file = ceiling_file(path) if path else None
        part = scored.predictions.take(rows_of(scored, asked.where))
        values |= {
            "matrices": {head: matrix(summary[head]["labels"], summary[head]["confusion"]) for head in _HEADS},
            "charts": charts_of(part),
            "ceiling": scored.ceiling if file is None else read_ceiling(file),
            "ceiling_file": file,
            "alpha": model_alpha(scored, asked.where),
            "against": None,
            "other": None,
        }
        if len(scorings) > 1:
            other = scorings[1][1]
            values["other"] = other
            values["against"] = compare(scored, other, asked.where) if comparable(scored, other) else None
        return values

    async def score(self, visit: Visit) -> Response:
        """Begins what is not scored yet, and goes back to the page, which says how far it is."""
        asked = _read(visit)
        try:
            for key in asked.keys:
                self._scorings.begin(key, anew="anew" in visit.form)
        except SourceError as error:
            raise _missing(error) from None
        return RedirectResponse(f"{PATH}?{asked.query}", 303)

    async def progress(self, visit: Visit) -> Response:
        """How far the scorings are; the page is loaded anew once they have ended."""
        asked = _read(visit)
        found = self._found(asked)
        if not any(each is not None and each.state == "running" for each in found):
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        return self._desk.pages.show(
            visit.request, "confusion-progress.html.j2", visit.reader, asked=asked, scorings=found
        )

    # its parts

    async def posts(self, visit: Visit) -> Response:
        """The posts of a cell, or of the whole choice, some at a time."""
        asked, query = _read(visit), visit.query
        head = query.get("head", "")
        if head and head not in _HEADS:
            raise HTTPException(404, f"There is no matrix {head[:20]!r}. Wanted: route or intent. Choose a cell again.")
        (_, scored), *_rest = self._scored(asked)
        cell = {"head": head, "truth": query.get("truth", ""), "said": query.get("said", "")} if head else {}
        found = await self._desk.worker.run(cases_in, scored, asked.where, **cell)
        return self._listed(visit, asked, found, title=f"{cell['truth']} → {cell['said']}" if cell else "Posts", **cell)

    async def flips(self, visit: Visit) -> Response:
        """The posts that the second bundle broke, or mended."""
        asked = _read(visit)
        direction: Direction = "mended" if visit.query.get("direction") == "mended" else "broken"
        (_, before), *others = self._scored(asked)
        if not others or not comparable(before, others[0][1]):
            raise HTTPException(409, "There is nothing to hold this bundle against. Choose a second one on the page.")
        found = await self._desk.worker.run(read_flips, before, others[0][1], asked.where, direction)
        return self._listed(visit, asked, found, title=direction.capitalize(), direction=direction)

    def _listed(self, visit: Visit, asked: Asked, found: list[Any], *, title: str, **more: str) -> Response:
        text = visit.query.get("page", "0")
        page = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        start = page * _POSTS_OF_A_PART
        address = f"{visit.request.url.path}?{asked.query}"
        if more:
            address += f"&{urlencode(more)}"
        return self._desk.pages.show(
            visit.request,
            "confusion-posts.html.j2",
            visit.reader,
            title=title,
            items=found[start : start + _POSTS_OF_A_PART],
            total=len(found),
            page=page,
            pages=math.ceil(len(found) / _POSTS_OF_A_PART),
            address=address,
            routes=ROUTES,
            is_case=not found or isinstance(found[0], Case),
            of_journal=asked.posts in SPANS,
        )

    # its files

    def _download(
        self, make: Callable[[Visit, Asked, Scored, Summary], Response]
    ) -> Callable[[Visit], Awaitable[Response]]:
        async def answer(visit: Visit) -> Response:
            asked = _read(visit)
            (scoring, scored), *_ = self._scored(asked)

            def work() -> Response:
                summary = figures(scoring, scored, asked.where)
                if summary is None:
                    raise HTTPException(409, "No post is left by these filters, so there is nothing to download.")
                return make(visit, asked, scored, summary)

            return await self._desk.worker.run(work)

        return answer

    @staticmethod
    def _json(_: Visit, asked: Asked, scored: Scored, summary: Summary) -> Response:
        return downloads.figures_json(scored, asked.where, summary)

    @staticmethod
    def _matrix(visit: Visit, _: Asked, __: Scored, summary: Summary) -> Response:
        head = visit.request.path_params["head"]
        if head not in _HEADS:
            raise HTTPException(404, f"There is no matrix {head[:20]!r}. Wanted: route or intent.")
        return downloads.matrix_csv(head, summary)

    @staticmethod
    def _posts(_: Visit, asked: Asked, scored: Scored, __: Summary) -> Response:
        return downloads.posts_csv(cases_in(scored, asked.where))

    async def picture(self, visit: Visit) -> Response:
        """A diagram or a matrix as a file of its own, from which the page makes a PNG."""
        asked, name = _read(visit), visit.request.path_params["name"]
        report = await self._desk.worker.run(self._report, asked)
        charts, matrices = report.get("charts", {}), report.get("matrices", {})
        if name not in charts and name not in matrices:
            raise HTTPException(404, "There is no such picture. Wanted: one that the page offers. Choose it there.")
        scored = report["scored"]
        return self._desk.pages.show(
            visit.request,
            "confusion-picture.svg.j2",
            headers={"content-type": "image/svg+xml"},
            chart=charts.get(name),
            matrix=matrices.get(name),
            note=f"{scored.model_version} on {scored.posts}, {report['summary']['posts']} posts",
        )
