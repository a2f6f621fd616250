"""The risk monitor for programs: is a promise broken? Looked at again and again, told in metrics and `/readyz`.

No answer depends on it. It needs nothing of the workbench, on whose page people see the same with intervals and
diagrams; what it counts is what people read there.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from models.policy import RiskBudget
from serving.engine import ServedModel
from serving.errors import NotReadyError
from serving.journal.address import read_address
from serving.journal.faults import NotBegunError
from serving.lineup import Lineup
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.repeating import Idle, Repeated
from serving.settings import Settings
from serving.wire import RiskAnswer, RiskState, Role, Versions

if TYPE_CHECKING:
    from serving.journal.database import Database
    from serving.journal.draws import Stream

LOOK_EVERY_S = 300.0
"""People read some answers an hour; a look over 100,000 automatic answers takes 0.3 s (docs/workbench.md)."""
NICENESS = 19
"""It comes last, as the pages do (docs/decisions/0036)."""
LOG = logging.getLogger("signalbox.risk")
OFF = RiskAnswer(state="off", e_value=None, alarm_at=None)
_UNREAD = RiskAnswer(state="unread", e_value=None, alarm_at=None)
ReadDraw = Callable[[ServedModel], "Stream | None"]
"""The automatic answers of a model under its policy that are watched, `None` while nobody is drawn. May raise anything.
"""


def judge(stream: "Stream | None", budget: RiskBudget) -> RiskAnswer:
    """What the answers that were drawn and read say of a promise, up to the first that was drawn and is not read."""
    if stream is None or not 0 < budget.wrong < 1:
        return OFF
    found = stream.test(budget)
    state: RiskState = "alarm" if found.alarm else "quiet" if stream.read.any() else "nothing"
    return RiskAnswer(state=state, e_value=found.e_value, alarm_at=1 / (1 - budget.confidence))


class RiskWatch:
    """The promises of the models that answer, looked at on a thread of its own from `start` to `close`."""

    def __init__(
        self,
        read: ReadDraw,
        lineup: Callable[[], Lineup],
        metrics: Metrics,
        *,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._read = read
        self._lineup = lineup
        self._let_go = let_go
        self._found: Mapping[Versions, RiskAnswer] = {}
        self._looking = Lock()
        self._readable = True
        self._repeated = Repeated(self.look, every_s=LOOK_EVERY_S, name="risk", niceness=NICENESS)
        metrics.watch_risk(lambda role: self.health().get(role))

    def health(self) -> dict[Role, RiskAnswer]:
        """What is known of each model that answers now, by role; nothing while none does."""
        try:
            models = self._lineup().answering
        except NotReadyError:
            return {}
        return {role: self._found.get(model.versions, _UNREAD) for role, model in models.items()}

    def look(self) -> None:
        """Nothing; looks now, on the calling thread."""
        try:
            with self._looking:
                self._look()
        except NotReadyError:  # the server is about to end
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, an alarm must stay, and the next look come
            if self._readable:
                LOG.error("risk_not_read", extra={"fields": fault_of(error)})
            self._readable = False
            self._found = {versions: _stale(found) for versions, found in self._found.items()}
        else:
            self._readable = True

    def _look(self) -> None:
        found = {}
        for role, model in self._lineup().answering.items():
            versions, before = model.versions, self._found.get(model.versions, _UNREAD)
            found[versions] = judge(self._read(model), model.predictor.policy.budget)
            if found[versions].state == "alarm" != before.state:
                LOG.warning("risk_alarm", extra={"fields": {"role": role, **versions.model_dump()}})
        self._found = found

    def start(self) -> None:
        """Nothing; it looks at once, and again and again."""
        self._repeated.start()

    def close(self) -> None:
        """Nothing; it looks no more."""
        self._repeated.close()
        self._let_go()


def _stale(found: RiskAnswer) -> RiskAnswer:
    """What is still known of it: an alarm stays one."""
    return found if found.state in ("alarm", "unread") else found.model_copy(update={"state": "stale"})


class NoRisk(Idle):
    """Nothing is known: without a journal nobody can have read an answer."""

    def health(self) -> None:
        """Nothing to say."""


def make_risk(settings: Settings, lineup: Callable[[], Lineup], metrics: Metrics) -> RiskWatch | NoRisk:
    """The watch over the journal that the settings name, not yet looking.

    Raises:
        SettingsError: when they name no journal that is known.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None:
        return NoRisk()

    @cache
    def database() -> "Database":
        # On the reading thread, as the journal does: SQLAlchemy takes 0.25 s of CPU.
        from serving.journal.database import Database

        return Database(address, make=False)

    def read(model: ServedModel) -> "Stream | None":
        from serving.journal.draws import read_draw

        days = settings.journal_retention_days
        try:
            return database().read(read_draw, model.versions, model.predictor.content, datetime.now(UTC), days)
        except NotBegunError:  # nobody can have been drawn yet
            return None

    def let_go() -> None:
        if database.cache_info().currsize:
            database().close()

    return RiskWatch(read, lineup, metrics, let_go=let_go)
