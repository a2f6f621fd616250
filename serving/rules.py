"""The must-not-answer rules in memory: read from the journal's database again and again, asked in the answer's path.

A rule only ever takes an answer from the machine: the post goes to an agent. While the rules were never read, nothing
is answered by the machine, since nobody knows what is forbidden; once they were, the last known ones hold however the
database does.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from models.policy import Reason, withheld
from models.predictor import Prediction
from serving.journal.address import read_address
from serving.journal.faults import JournalError, NotBegunError
from serving.likeness import Alike, shingles_of, words_of
from serving.logs import fault_of
from serving.metrics import Metrics
from serving.repeating import Idle, Repeated
from serving.settings import Settings
from serving.wire import RulesAnswer, RulesState

if TYPE_CHECKING:
    from serving.journal.database import Database
    from serving.journal.policies import PolicyVersion
    from serving.journal.rules import Rule

READ_EVERY_S = 2.0
"""How long a rule that another server was given may take to hold here; reading 1,000 of them takes some 5 ms."""
WITHHELD_CODES = ("crisis_brake", "brake_not_read", "must_not_answer", "rules_not_read")
"""The codes of the reasons for which a machine is not let, whatever the scores."""
LOG = logging.getLogger("signalbox.rules")


_NAMES_A_RULE = "rule "


def rule_of(reasons: Sequence[Reason]) -> str | None:
    """The id of the rule that took a post from the machine, `None` where none did."""
    first = next(iter(reasons), None)
    return first.detail.removeprefix(_NAMES_A_RULE) if first and first.code == "must_not_answer" else None


class RuleBook:
    """The rules of one model, never changed once made."""

    def __init__(self, rules: Iterable["Rule"]) -> None:
        self._exact: dict[str, str] = {}
        self._near = Alike()
        for rule in rules:
            self._exact.setdefault(rule.words, rule.id)
            if rule.kind == "near":
                self._near.add(rule.id, shingles_of(rule.words))

    def find(self, text: str) -> str | None:
        """The id of a rule that a rendered text falls under, `None` where there is none."""
        words = words_of(text)
        return self._exact.get(words) or (self._near.find(shingles_of(words)) if len(self._near) else None)


class Rules(Protocol):
    """What judges by rules: those of a database, or none."""

    @property
    def known(self) -> bool:
        """True once they and the policy in force were read."""

    def obey(self, prediction: Prediction, model_version: str, *, known: bool) -> Prediction:
        """The prediction of that model as the rules leave it. Whether they were `known` when its request began counts:
        what was read since then may have brought another policy than the one that decided."""

    def health(self) -> RulesAnswer:
        """How they do."""

    def look(self) -> None:
        """Nothing; reads them now, on the calling thread."""

    def start(self) -> None:
        """Nothing; from now on they are read."""

    def close(self) -> None:
        """Nothing; they are read no more."""


class NoRules(Idle):
    """Forbids nothing: without a journal nobody can have made a rule."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.watch_rules(self.health)

    @property
    def known(self) -> bool:
        """True: there is nothing to read."""
        return True

    def obey(
        self,
        prediction: Prediction,
        model_version: str,  # noqa: ARG002 - the port's signature
        *,
        known: bool,  # noqa: ARG002 - likewise
    ) -> Prediction:
        """The same."""
        return prediction

    def health(self) -> RulesAnswer:
        """Off."""
        return RulesAnswer(state="off", rules=0)


class ReadRules:
    """The rules that `read` gives, read on a thread of its own from `start` to `close`. Safe between threads."""

    def __init__(
        self,
        read: Callable[[], tuple["Rule", ...]],
        metrics: Metrics,
        *,
        brake: Callable[[], Reason | None] = lambda: None,
        let_go: Callable[[], None] = lambda: None,
        every_s: float = READ_EVERY_S,
    ) -> None:
        self._read = read
        self._brake = brake
        self._let_go = let_go
        self._looking = Lock()
        self._readable = True
        self._known: tuple[Rule, ...] | None = None
        self._books: dict[str, RuleBook] = {}
        self._state: RulesState = "unread"
        self._repeated = Repeated(self.look, every_s=every_s, name="rules")
        metrics.watch_rules(self.health)

    @property
    def known(self) -> bool:
        """True once they and the policy in force were read."""
        return self._known is not None

    def obey(self, prediction: Prediction, model_version: str, *, known: bool) -> Prediction:
        """The prediction, given to an agent where a rule of that model forbids to answer it, or none was `known`."""
        if not prediction.decision.closed_by_machine:
            return prediction
        reason = self._objection(prediction.rendered.text, model_version, known=known)
        if reason is None:
            return prediction
        return replace(prediction, decision=withheld(prediction.decision, reason, prediction.route))

    def _objection(self, text: str, model_version: str, *, known: bool) -> Reason | None:
        held = self._brake()
        if held is not None:
            return held
        if not known:
            return Reason("rules_not_read", "the must-not-answer rules were not read yet")
        book = self._books.get(model_version)
        found = book.find(text) if book else None
        return Reason("must_not_answer", f"{_NAMES_A_RULE}{found}") if found else None

    def health(self) -> RulesAnswer:
        """`unread` until they were read once; `stale` while they cannot be, and those of before hold."""
        return RulesAnswer(state=self._state, rules=len(self._known or ()))

    def start(self) -> None:
        """Nothing; they are read at once, and again and again."""
        self._repeated.start()

    def close(self) -> None:
        """Nothing; the thread ends."""
        self._repeated.close()
        self._let_go()

    def look(self) -> None:
        """Nothing; reads them now, on the calling thread."""
        with self._looking:  # else what was read before a rule was made could come to hold after it
            self._look()

    def _look(self) -> None:
        try:
            rules = self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, what was known must go on holding
            begun = not isinstance(error, NotBegunError)  # else nothing is wrong yet: the journal makes its file
            if begun and self._readable:
                code = error.code if isinstance(error, JournalError) else None
                LOG.error("rules_not_read", extra={"fields": {"code": code, **fault_of(error)}})
            self._readable, self._state = not begun, "unread" if self._known is None else "stale"
            return
        if rules != self._known:
            of_model: defaultdict[str, list[Rule]] = defaultdict(list)
            for rule in rules:
                of_model[rule.model_version].append(rule)
            self._books = {version: RuleBook(each) for version, each in of_model.items()}
            self._known = rules
            LOG.info("rules_read", extra={"fields": {"rules": len(rules)}})
        self._readable, self._state = True, "ok"


def make_rules(
    settings: Settings,
    metrics: Metrics,
    put_in_force: Callable[["PolicyVersion | None"], None],
    brake: Callable[[], Reason | None] = lambda: None,
) -> Rules:
    """The rules of the journal that the settings name, not yet read. While `brake` objects, nothing is answered.

    Before the rules the active policy is read, and where it is another than before, `put_in_force` is told.

    Raises:
        SettingsError: when they name none.
        MissingGroupError: when the driver of its database is not installed.
    """
    address = read_address(settings.journal)
    if address is None:
        return NoRules(metrics)

    @cache
    def database() -> "Database":
        # Imported on the reading thread, as the journal does: SQLAlchemy takes 0.25 s of CPU.
        from serving.journal.database import Database

        return Database(address, make=False)

    enforced: list[str | None] = [None]

    def read() -> "tuple[Rule, ...]":
        from serving.journal.policies import active_id, active_policy
        from serving.journal.rules import standing_rules

        active = database().read(active_id)
        if active != enforced[0]:
            put_in_force(database().read(active_policy))
            enforced[0] = active
        return database().read(standing_rules)

    def let_go() -> None:
        if database.cache_info().currsize:
            database().close()

    return ReadRules(read, metrics, brake=brake, let_go=let_go)
