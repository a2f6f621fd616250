"""The addresses of the risk monitor: the page, its state for the overview, and the chance of the draw."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from logging import getLogger

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from evaluation.workbench.review import chance_to_draw
from serving.engine import ServedModel
from serving.journal.draws import read_stream, scopes_of
from serving.journal.lotteries import Lottery, Scope, lotteries, set_lottery
from serving.wire import Role
from serving.workbench.risk.charts import capital, interval
from serving.workbench.risk.state import State, state_of
from serving.workbench.visits import Desk, Visit, for_readers

PATH = "/qa/risk"
LOG = getLogger("signalbox.workbench")
READS_A_DAY = 30
"""What the page proposes to read: some ten minutes at 20 s a post."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A watch: which answers, and what they show."""

    scope: Scope
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """All settings, the first first; the watch of now and the one before, where there are any."""

    settings: tuple[Lottery, ...]
    now: Watched | None
    before: Watched | None


def read_monitor(connection: Connection, model: ServedModel, now: datetime, retention_days: int) -> Monitor:
    """What is known of the promise of a model that answers."""
    settings = lotteries(connection)
    scopes = scopes_of(settings, model.versions, now, retention_days)
    if scopes is None:
        return Monitor((), None, None)
    budget, content, chance = model.predictor.policy.budget, model.predictor.content, settings[-1].chance

    def watched(scope: Scope) -> Watched:
        stream = read_stream(connection, scope, settings, content)
        return Watched(scope, state_of(stream, budget, chance, scope.until or now))

    before = watched(scopes[1]) if scopes[1] else None
    return Monitor(settings, watched(scopes[0]), before if before and before.state.answers else None)


class RiskPages:
    """The pages over the journal and the promise of the policy in force."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """All addresses."""
        readers = partial(for_readers, self._desk)
        return [
            Route(PATH, readers(self.show)),
            Route(f"{PATH}/state", readers(self.state)),
            Route(f"{PATH}/chances", readers(self.set_chance), methods=["POST"]),
        ]

    @property
    def _models(self) -> dict[Role, ServedModel]:
        return self._desk.bench.service.lineup().answering

    async def _monitor(self, model: ServedModel) -> Monitor:
        days = self._desk.bench.settings.journal_retention_days
        read = partial(read_monitor, model=model, now=datetime.now(UTC), retention_days=days)
        return await self._desk.read(read)

    async def show(self, visit: Visit) -> Response:
        """The page: the watch over the champion, or over the canary where there is one."""
        models, asked = self._models, visit.query.get("of", "champion")
        of = next((role for role in models if role == asked), None)
        if of is None:
            raise HTTPException(
                404, f"No {asked[:20]!r} answers now. Wanted: one of {', '.join(models)}. Choose it on the page."
            )
        model = models[of]
        monitor = await self._monitor(model)
        state = monitor.now.state if monitor.now else None
        pace = state.answers_a_day if state else 0.0
        charts = [chart for chart in (capital(state), interval(state)) if chart] if state else []
        return self._desk.pages.show(
            visit.request,
            "risk.html.j2",
            visit.reader,
            versions=model.versions,
            models=models,
            of=of,
            monitor=monitor,
            state=state,
            charts=charts,
            kept_days=self._desk.bench.settings.journal_retention_days,
            reads_a_day=READS_A_DAY,
            proposed=chance_to_draw(READS_A_DAY, round(pace)),
        )

    async def state(self, visit: Visit) -> Response:
        """Alarm or none in a sentence for each model that answers, as a part of the overview."""
        monitors = {role: await self._monitor(model) for role, model in self._models.items()}
        states = {role: monitor.now.state if monitor.now else None for role, monitor in monitors.items()}
        return self._desk.pages.show(visit.request, "risk-state.html.j2", visit.reader, states=states)

    async def set_chance(self, visit: Visit) -> Response:
        """Draws automatic answers at another chance from now on."""
        text = visit.form.get("percent", "").strip()
        try:
            chance = float(text) / 100
            lottery = await self._desk.write(partial(set_lottery, chance=chance, by=visit.reader.name))
        except ValueError:
            raise HTTPException(
                422,
                f"Nothing was set: the chance is {text[:40]!r}. Wanted: a number of percent over 0 and at most 100, "
                "such as 5. Correct it.",
            ) from None
        LOG.info("qa_lottery_set", extra={"fields": {"key_name": visit.reader.name, "chance": lottery.chance}})
        return RedirectResponse(PATH, 303)
