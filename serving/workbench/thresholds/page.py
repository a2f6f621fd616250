"""The addresses of the threshold desk: the page, what a budget comes to, and the versions that people propose.

A version is computed here again from the budget that was proposed, never taken from a form: what is saved is what
evaluation proves.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from data.rejects import SourceError
from evaluation.workbench.costs import Costs, Prices, costs
from evaluation.workbench.desk import Setting, Trial, set_budget, try_setting
from models.policy import RiskBudget
from models.predictor import Predictor
from serving.errors import NotReadyError
from serving.journal.faults import StoreDownError
from serving.journal.policies import (
    PolicyStepError,
    PolicyVersion,
    activate_policy,
    approve_policy,
    policy_versions,
    propose_policy,
    reject_policy,
    roll_back_policy,
)
from serving.workbench.confusion.scorings import Scorings
from serving.workbench.confusion.sources import Shelf
from serving.workbench.thresholds.openings import Opening, Openings, Parts, keys_of
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/thresholds"
SPANS_DAYS = (1, 7, 30)
SHOWN_CHANGES = 25
"""Of each kind, the worst first; the counts are of all."""
_BUDGETS = ("leak_sensitive", "leak_influencer", "wrong")
_ASKED = (*_BUDGETS, "confidence", "days", "phone", "social")
"""What an address may say."""
_STEPS: Mapping[str, Callable[..., None]] = {
    "approve": approve_policy,
    "reject": reject_policy,
    "activate": activate_policy,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for: a budget, a span of the journal, prices."""

    budget: RiskBudget
    days: int
    prices: Prices


def _number(source: Mapping[str, str], name: str, default: float) -> float:
    text = source.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise HTTPException(
            422, f"Nothing was computed: {name} is {text[:40]!r}. Wanted: a number, such as 2.5. Correct it."
        )
    return number


def _read(source: Mapping[str, str], in_force: RiskBudget) -> Asked:
    """What is asked for; budgets are percent on the page, and those in force where none is given."""
    shares = {name: _number(source, name, 100 * getattr(in_force, name)) / 100 for name in _BUDGETS}
    days = int(_number(source, "days", 7))
    try:
        budget = RiskBudget(**shares, confidence=_number(source, "confidence", 100 * in_force.confidence) / 100)
        prices = Prices(_number(source, "phone", 7.0), _number(source, "social", 1.0))
    except (ValidationError, ValueError):
        raise HTTPException(
            422,
            "Nothing was computed: a budget or a price is out of its range. Wanted: budgets of 0 to 100 %, a proof's "
            "confidence over 50 and under 100 %, prices of 0 or more. Correct them.",
        ) from None
    return Asked(budget, days if days in SPANS_DAYS else 7, prices)


def _address(source: Mapping[str, str]) -> str:
    """What follows the address of the page, or of a part of it, to ask for the same; empty where nothing is asked."""
    asked = {name: source[name] for name in _ASKED if source.get(name)}
    return f"?{urlencode(asked)}" if asked else ""


def _costs(setting: Setting, trial: Trial | None, prices: Prices) -> Costs:
    """At the share of the journal where there is any, and the wrong closings that the calibration posts show."""
    wrong = next(each for each in setting.policy.certificates if each.risk == "wrong")
    seen = wrong.events / wrong.trials if wrong.trials else 0.0
    share = trial.automatic_share if trial else setting.automatic_share
    return costs(share, seen, max(wrong.upper_bound, seen), prices)


@contextmanager
def _desk_faults() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise HTTPException(409, str(error)) from None
    except StoreDownError as error:
        raise HTTPException(
            503,
            f"The desk is not open: the journal's database answers {error.code}. Wanted: one that can be asked. "
            "Try it again in a moment.",
        ) from None


class ThresholdPages:
    """The pages over the scorings of the confusion report, and the versions in the journal."""

    def __init__(self, desk: Desk, shelf: Shelf, scorings: Scorings) -> None:
        self._desk = desk
        self._shelf = shelf
        self._scorings = scorings
        self._openings = Openings(desk.database, desk.worker)

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/score", readers(self.score), methods=["POST"]),
            Route(f"{PATH}/setting", readers(self.setting)),
            Route(f"{PATH}/proposals", readers(self.propose), methods=["POST"]),
            Route(f"{PATH}/proposals/{{id}}/{{step}}", readers(self.step), methods=["POST"]),
            Route(f"{PATH}/back", readers(self.go_back), methods=["POST"]),
            Route(f"{PATH}/versions/{{id}}.json", readers(self.download)),
        ]

    def _scored(self) -> tuple[Parts, Predictor] | None:
        """The scores of the parts by the model in service, and that model under the policy in force; `None` where a
        part is not scored by it.

        Raises:
            NotReadyError: when there are scores and no model is in service.
            SourceError: when a part has gone since.
        """
        found = [self._scorings.find(key) for key in keys_of(self._shelf)]
        done = [each.result for each in found if each is not None and each.result is not None]
        if len(done) != 3:
            return None
        champion = self._desk.bench.service.running()
        is_of_champion = all(each.model_version == champion.versions.model for each in done)
        return ((done[0], done[1], done[2]), champion.predictor) if is_of_champion else None

    def _asked(self, visit: Visit) -> tuple[Asked, Parts, Predictor]:
        """What is asked for, of which scores, and the model that they are of."""
        scored = self._scored()
        if scored is None:
            raise HTTPException(
                409,
                "The desk is not open: the model in service has not scored the posts that prove thresholds, or the "
                "server was started again since. Wanted: their scores. Open the page again and let it score them.",
            )
        parts, predictor = scored
        return _read(visit.form or visit.query, predictor.policy.budget), parts, predictor

    async def _opened(self, visit: Visit) -> tuple[Asked, Opening | None]:
        """What is asked for, and the desk; `None` while it is being opened."""
        asked, parts, predictor = self._asked(visit)
        with _desk_faults():
            return asked, await self._openings.ask(parts, predictor, asked.days, anew="anew" in visit.query)

    async def show(self, visit: Visit) -> Response:
        """The page: the desk where it is open, else how far it is, or what is missing; and all versions."""
        try:
            scored = self._scored()
            found = [self._scorings.find(key) for key in keys_of(self._shelf)]
        except SourceError as error:
            raise HTTPException(404, str(error)) from None
        values: dict[str, Any] = {"asked": None, "days": SPANS_DAYS, "versions": await self._versions()}
        if scored is not None:
            asked, opening = await self._opened(visit)
            values |= {"asked": asked, "opening": None}
            if opening is not None:
                values |= await self._desk.worker.run(_tried, opening, asked)
        page = self._desk.pages.show(
            visit.request,
            "thresholds.html.j2",
            visit.reader,
            keys=keys_of(self._shelf),
            directory=str(self._desk.bench.settings.qa_posts),
            scorings=found,
            same=_address(visit.query),
            **values,
        )
        if scored is not None:
            page.background = BackgroundTask(self._prepare, asked.days)
        return page

    async def _versions(self) -> list[PolicyVersion]:
        """All versions, the newest first."""
        return list(reversed(await self._desk.read(policy_versions)))

    async def score(self, visit: Visit) -> Response:
        """Begins what is not scored yet, and goes back to the page that was asked for."""
        for key in keys_of(self._shelf):
            self._scorings.begin(key, then=partial(self._prepare, *SPANS_DAYS))
        return RedirectResponse(f"{PATH}{_address(visit.query)}", 303)

    async def _prepare(self, *spans: int) -> None:
        """Nothing; where all parts are scored, the desk is open over these days, and what it has of them is new.

        Reading the journal takes longer than a page may: who opens the page gets what was read, the next one what is.
        """
        with suppress(SourceError, StoreDownError, NotReadyError, ValueError):  # the page says what it is
            for days in spans:
                scored = self._scored()
                if scored is None:
                    return
                await self._openings.open(*scored, days, anew=self._openings.is_old(days))

    async def setting(self, visit: Visit) -> Response:
        """What a budget comes to, as a part of the page: asked for while a slider moves."""
        asked, opening = await self._opened(visit)
        if opening is None:
            return self._desk.pages.show(visit.request, "thresholds-awaited.html.j2", visit.reader)
        values = await self._desk.worker.run(_tried, opening, asked)
        return self._desk.pages.show(
            visit.request, "thresholds-setting.html.j2", visit.reader, asked=asked, versions=[], **values
        )

    async def propose(self, visit: Visit) -> Response:
        """Makes a version of what a budget comes to, with its author and reason."""
        asked, parts, predictor = self._asked(visit)
        with _desk_faults():
            opening = await self._openings.open(parts, predictor, asked.days)
        setting = await self._desk.worker.run(set_budget, opening.scale, asked.budget)
        if not setting.certified:
            raise HTTPException(
                409,
                f"Nothing was proposed: {setting.objection} {' '.join(setting.explanations)} Wanted: a budget that can "
                "be proven with these posts, without an injection answered. Move a slider, label more, or train "
                "another model.",
            )
        policy = setting.policy.model_copy(update={"version": visit.form.get("version", "").strip()[:64] or "-"})
        await self._write(
            partial(
                propose_policy,
                policy=policy,
                base=opening.in_force,
                model_version=opening.calibration.model_version,
                author=visit.reader.name,
                key=visit.reader.key,
                reason=visit.form.get("reason", "")[:500],
            )
        )
        return RedirectResponse(f"{PATH}#versions", 303)

    async def step(self, visit: Visit) -> Response:
        """Approves a version of somebody else, rejects one, or puts one in force."""
        policy_id, name = visit.request.path_params["id"], visit.request.path_params["step"]
        step = _STEPS.get(name)
        if step is None:
            raise HTTPException(
                404, f"There is no step {name[:20]!r}. Wanted: {', '.join(_STEPS)}. Load the page again."
            )
        reason = visit.form.get("reason", "")[:500]
        key = {"key": visit.reader.key} if step is approve_policy else {}
        await self._write(partial(step, policy_id=policy_id, by=visit.reader.name, reason=reason, **key))
        return RedirectResponse(f"{PATH}#versions", 303)

    async def go_back(self, visit: Visit) -> Response:
        """Takes the version in force out of it: the one before it holds again, or the server's own policy."""
        reason = visit.form.get("reason", "")[:500]
        await self._write(partial(roll_back_policy, by=visit.reader.name, reason=reason))
        return RedirectResponse(f"{PATH}#versions", 303)

    async def _write(self, function: Callable[[Connection], object]) -> None:
        try:
            await self._desk.write(function)
        except PolicyStepError as error:
            raise HTTPException(409, str(error)) from None

    async def download(self, visit: Visit) -> Response:
        """An approved version as the policy file that `SIGNALBOX_POLICY` names."""
        policy_id = visit.request.path_params["id"]
        found = next((each for each in await self._versions() if each.id == policy_id), None)
        if found is None or found.state not in ("approved", "active"):
            raise HTTPException(
                404, "There is no approved version of this id. Wanted: one that is. Choose it on the page."
            )
        headers = {"content-disposition": f'attachment; filename="policy-{found.id}.json"'}
        text = json.dumps(found.policy.model_dump(mode="json"), indent=2)
        return Response(f"{text}\n", media_type="application/json", headers=headers)


def _tried(opening: Opening, asked: Asked) -> dict[str, Any]:
    """What a budget comes to, for the templates."""
    setting = set_budget(opening.scale, asked.budget)
    trial = try_setting(opening.sample, setting, most=SHOWN_CHANGES) if opening.rows else None
    cases = opening.calibration.cases
    changes = [(change, cases[change.place]) for change in setting.changes[:SHOWN_CHANGES]]
    journal = [(change, opening.rows[change.place]) for change in trial.changes] if trial else []
    before = opening.calibration.predictions.decide(opening.in_force)
    return {
        "setting": setting,
        "trial": trial,
        "changes": changes,
        "journal": journal,
        "opening": opening,
        "share_before": sum(each.closed_by_machine for each in before) / len(before),
        "costs": _costs(setting, trial, asked.prices),
        "certificates": list(zip(setting.policy.certificates, setting.explanations, strict=True)),
    }
