"""The addresses of the must-not-answer rules: all on record, a new one with what it would do, one taken away."""

from functools import partial
from typing import get_args

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from serving.errors import NotReadyError
from serving.journal.queries import KeptPost, find_post
from serving.journal.rules import (
    NoWordsError,
    Rule,
    RuleKind,
    RuleWish,
    add_rule,
    draft_rule,
    remove_rule,
    rules_on_record,
)
from serving.workbench.rules.preview import SPANS_DAYS, Preview, preview_in_steps
from serving.workbench.visits import Desk, Visit, for_readers, post_gone, reason_of

PATH = "/qa/rules"
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)


def _kind_of(given: str) -> RuleKind:
    return next((kind for kind in KINDS if kind == given), "exact")


class RulePages:
    """The pages over the journal; what they make holds on this server at once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(PATH, readers(self.make), methods=["POST"]),
            Route(f"{PATH}/new", readers(self.offer)),
            Route(f"{PATH}/preview", readers(self.part)),
            Route(f"{PATH}/{{id}}/remove", readers(self.remove), methods=["POST"]),
        ]

    def _in_service(self) -> set[str]:
        """The versions of the models that answer."""
        try:
            return {model.versions.model for model in self._desk.bench.service.lineup().models}
        except NotReadyError:
            return set()

    async def show(self, visit: Visit) -> Response:
        """The rules that hold, and those that do no more."""
        found = await self._desk.read(rules_on_record)
        return self._desk.pages.show(
            visit.request,
            "rules.html.j2",
            visit.reader,
            standing=[each for each in found if each.removal is None],
            removed=[each for each in found if each.removal is not None],
            in_service=self._in_service(),
        )

    async def _looked_ahead(self, visit: Visit) -> tuple[KeptPost, Rule, Preview]:
        """The post that is asked for, the rule that it would make, and what that would have done.

        Raises:
            HTTPException: 404 when there is no such post, 422 when it has no words.
        """
        query, prediction_id = visit.query, visit.query.get("post", "")
        days = SPANS_DAYS.get(query.get("days", ""), 7)

        def draft(connection: Connection) -> tuple[KeptPost | None, Rule | None]:
            wish = RuleWish(prediction_id, _kind_of(query.get("kind", "")), visit.reader.name)
            return find_post(connection, prediction_id), draft_rule(connection, wish)

        try:
            post, rule = await self._desk.read(draft)
        except NoWordsError as error:
            raise HTTPException(422, str(error)) from None
        if post is None or rule is None:
            raise post_gone()
        return post, rule, await self._desk.read_in_turns(preview_in_steps(self._desk.database, rule, days))

    async def offer(self, visit: Visit) -> Response:
        """The form in which a post is made into a rule, with what the rule would have done."""
        return await self._shown(visit, "rule.html.j2")

    async def part(self, visit: Visit) -> Response:
        """What the rule would have done, as a part of the page: asked for when kind or span change."""
        return await self._shown(visit, "rule-preview.html.j2")

    async def _shown(self, visit: Visit, template: str) -> Response:
        post, rule, seen = await self._looked_ahead(visit)
        return self._desk.pages.show(
            visit.request,
            template,
            visit.reader,
            post=post,
            rule=rule,
            preview=seen,
            spans=SPANS_DAYS,
            in_service=self._in_service(),
        )

    async def make(self, visit: Visit) -> Response:
        """Makes a rule of a post; this server holds to it at once, others within two seconds."""
        form, reason = visit.form, reason_of(visit.form, "No rule was made")

        def write(connection: Connection) -> Rule | None:
            kind = _kind_of(form.get("kind", ""))
            return add_rule(connection, RuleWish(form.get("post", ""), kind, visit.reader.name, reason))

        try:
            rule = await self._desk.write(write)
        except NoWordsError as error:
            raise HTTPException(422, str(error)) from None
        if rule is None:
            raise post_gone()
        await self._desk.worker.run(self._desk.bench.rules.look)
        return RedirectResponse(f"{PATH}#{rule.id}", 303)

    async def remove(self, visit: Visit) -> Response:
        """Takes a rule away, with a reason; it stays on record."""
        rule_id, reason = visit.request.path_params["id"], reason_of(visit.form, "The rule was not removed")
        if not await self._desk.write(lambda each: remove_rule(each, rule_id, by=visit.reader.name, reason=reason)):
            raise HTTPException(
                409, "The rule was not removed: it is so already, or there is none. Load the page again."
            )
        await self._desk.worker.run(self._desk.bench.rules.look)
        return RedirectResponse(f"{PATH}#{rule_id}", 303)
