"""The addresses of the page Why: the way to a decision, its story, its evidence, and posts that somebody tries.

The story comes at once; evidence and neighbours take the model and an index, so they come after it, as parts.
"""

from collections.abc import Mapping
from functools import partial
from typing import get_args
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from data.rendering import Rendered
from data.taxonomy import ROUTES, Platform
from models.policy import Action, Facts
from models.predictor import Prediction, Predictor
from serving.engine import ServedModel
from serving.journal.filter import Filter
from serving.journal.queries import Page, page_of_posts
from serving.journal.reviews import new_id
from serving.journal.story import find_decisions
from serving.workbench.confusion.sources import Shelf
from serving.workbench.review.readings import MAX_NOTE_CHARACTERS
from serving.workbench.visits import Desk, Visit, for_readers
from serving.workbench.why.explanations import Explanations
from serving.workbench.why.judges import Judge, judge_of, policy_of
from serving.workbench.why.kept import Kept, read_kept
from serving.workbench.why.neighbourhood import Neighbourhood
from serving.workbench.why.sayings import PATH, Sayings, refuse_gone
from serving.workbench.why.telling import (
    departure,
    flips,
    runs_of,
    smallest_flip,
    strongest_words,
    tell_post,
    tell_prediction,
    without_words,
)
from serving.workbench.why.tries import FIELDS, NoPostError, post_of

MOST = 25
"""Decisions on a page of the list."""
_MOST_SEARCHED_CHARACTERS = 200
"""As long as the caller's id of a post may be."""
_PLATFORMS: tuple[str, ...] = get_args(Platform)
_CHOICES: Mapping[str, tuple[str, ...]] = {"route": ROUTES, "action": get_args(Action), "platform": _PLATFORMS}


def _filter(query: Mapping[str, str]) -> tuple[dict[str, str], Filter]:
    """What is chosen of the list, by the names of the form, and the same for the journal."""
    chosen = {name: query[name] for name, values in _CHOICES.items() if query.get(name, "") in values}
    values = {name: (chosen[name],) if name in chosen else () for name in _CHOICES}
    return chosen, Filter(routes=values["route"], actions=values["action"], platforms=values["platform"])


class WhyPages:
    """The pages over the journal and the models in memory."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        self._desk = desk
        self._neighbourhood = Neighbourhood(shelf, desk.worker)
        self._explanations = Explanations(desk.worker)

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/try", readers(self.attempt), methods=["POST"]),
            Route(f"{PATH}/try/evidence", readers(self.attempted_evidence), methods=["POST"]),
            Route(f"{PATH}/try/neighbours", readers(self.attempted_neighbours), methods=["POST"]),
            Route(f"{PATH}/{{id}}", readers(self.tell)),
            Route(f"{PATH}/{{id}}/evidence", readers(self.evidence)),
            Route(f"{PATH}/{{id}}/neighbours", readers(self.neighbours)),
            *Sayings(self._desk).routes(),
        ]

    def _champion(self) -> ServedModel:
        return self._desk.bench.service.lineup().champion

    # the way to a decision

    async def show(self, visit: Visit) -> Response:
        """The newest decisions or those that a search finds, and the box to try a post; one that is found is shown."""
        words = visit.query.get("q", "").strip()[:_MOST_SEARCHED_CHARACTERS]
        if words:
            found = await self._desk.read(partial(find_decisions, words=words, most=MOST))
            if len(found) == 1:
                return RedirectResponse(f"{PATH}/{found[0].prediction_id}", 303)
            return self._listed(visit, Page(found, None), {}, words=words)
        chosen, wanted = _filter(visit.query)
        after = visit.query.get("after") or None
        try:
            page = await self._desk.read(partial(page_of_posts, wanted=wanted, after=after, most=MOST))
        except ValueError:
            raise HTTPException(
                404, "There is no such page of decisions. Wanted: one that this list leads to. Begin at its top."
            ) from None
        return self._listed(visit, page, chosen)

    def _listed(
        self, visit: Visit, page: Page, chosen: dict[str, str], *, words: str = "", problem: str = ""
    ) -> Response:
        return self._desk.pages.show(
            visit.request,
            "why.html.j2",
            visit.reader,
            status=422 if problem else 200,
            words=words,
            page=page,
            chosen=chosen,
            choices=_CHOICES,
            following=f"{PATH}?{urlencode({**chosen, 'after': page.next})}" if page.next else None,
            typed={name: visit.form.get(name, "") for name in FIELDS},
            platforms=_PLATFORMS,
            problem=problem,
        )

    # one decision

    async def _kept(self, visit: Visit) -> Kept:
        prediction_id = visit.request.path_params["id"]
        kept = await self._desk.read(partial(read_kept, prediction_id=prediction_id))
        if kept is None:
            raise refuse_gone(prediction_id)
        return kept

    async def tell(self, visit: Visit) -> Response:
        """The story of one decision, at once; its evidence and its neighbours load after it."""
        kept, lineup = await self._kept(visit), self._desk.bench.service.lineup()
        policy = policy_of(kept.story, lineup, kept.policy)
        thresholds = policy.thresholds if policy else None
        return self._desk.pages.show(
            visit.request,
            "why-post.html.j2",
            visit.reader,
            kept=kept,
            told=tell_post(kept.story.post, thresholds, move_to_private=kept.story.move_to_private),
            knows_policy=policy is not None,
            mine=next((each for each in kept.reviews if each.reader == visit.reader.name), None),
            routes=ROUTES,
            intents=lineup.champion.predictor.bundle.taxonomy.names,
            ids=(new_id(), new_id()),
            most_note=MAX_NOTE_CHARACTERS,
        )

    async def _explained(
        self, visit: Visit, judge: Judge, rendered: Rendered, facts: Facts, recorded: Mapping[str, float] | None = None
    ) -> Response:
        """The part of the page that says what moved a decision, or that it will.

        `recorded` are the routes' probabilities of then.
        """
        evidence = await self._explanations.ask(judge.predictor, rendered, facts)
        if evidence is None:
            return self._desk.pages.show(visit.request, "why-evidence-awaited.html.j2", visit.reader)
        found = flips(evidence)
        return self._desk.pages.show(
            visit.request,
            "why-evidence.html.j2",
            visit.reader,
            evidence=evidence,
            caveat=judge.caveat,
            runs=list(runs_of(rendered.text, evidence.words)),
            words=strongest_words(evidence.words),
            sentence=smallest_flip(evidence),
            flips=[(without_words(edit), edit) for edit in found[1:]],
            departure=departure(recorded, evidence) if recorded and not judge.caveat else None,
        )

    async def evidence(self, visit: Visit) -> Response:
        """What moved a decision, as a part of the page."""
        kept, lineup = await self._kept(visit), self._desk.bench.service.lineup()
        story = kept.story
        judge = judge_of(story, lineup, policy_of(story, lineup, kept.policy))
        rendered = Rendered(text=story.post.text, context=story.post.context)
        return await self._explained(visit, judge, rendered, story.facts, story.post.routes)

    async def neighbours(self, visit: Visit) -> Response:
        """The labelled posts near a post, as a part of the page; while their index is made, how that is."""
        kept = await self._kept(visit)
        return await self._near(visit, kept.story.post.text)

    async def _near(self, visit: Visit, text: str) -> Response:
        making = self._neighbourhood.begin(self._champion().predictor.bundle.taxonomy)
        return self._desk.pages.show(
            visit.request,
            "why-neighbours.html.j2",
            visit.reader,
            making=making,
            near=await self._neighbourhood.find(making, text) if making else (),
            directory=str(self._desk.bench.settings.qa_posts),
        )

    # tries

    async def _judged(self, visit: Visit) -> tuple[ServedModel, Prediction]:
        """What the model in service makes of a post that somebody typed.

        Raises:
            NoPostError: when it is none.
        """
        post, champion = post_of(visit.form, self._desk.bench.settings.max_text_characters), self._champion()
        (prediction,) = await self._desk.worker.run(champion.predictor.predict, [post])
        return champion, prediction

    async def attempt(self, visit: Visit) -> Response:
        """The page of a post that somebody typed; nothing of it is kept."""
        try:
            champion, prediction = await self._judged(visit)
        except NoPostError as error:
            page = await self._desk.read(partial(page_of_posts, wanted=Filter(), most=MOST))
            return self._listed(visit, page, {}, problem=str(error))
        return self._desk.pages.show(
            visit.request,
            "why-post.html.j2",
            visit.reader,
            kept=None,
            told=tell_prediction(prediction, champion.predictor.policy.thresholds),
            knows_policy=True,
            versions=champion.versions,
            typed={name: visit.form.get(name, "") for name in FIELDS},
            platforms=_PLATFORMS,
            problem="",
        )

    async def _judged_again(self, visit: Visit) -> tuple[Predictor, Prediction]:
        try:
            champion, prediction = await self._judged(visit)
        except NoPostError as error:
            raise HTTPException(422, str(error)) from None
        return champion.predictor, prediction

    async def attempted_evidence(self, visit: Visit) -> Response:
        """What moved the decision on a post that was typed, as a part of the page."""
        predictor, prediction = await self._judged_again(visit)
        return await self._explained(visit, Judge(predictor, ""), prediction.rendered, prediction.facts)

    async def attempted_neighbours(self, visit: Visit) -> Response:
        """The labelled posts near a post that was typed, as a part of the page."""
        _, prediction = await self._judged_again(visit)
        return await self._near(visit, prediction.rendered.text)
