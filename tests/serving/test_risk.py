"""The risk monitor for programs: what it says of a promise, for whom, and what becomes of an alarm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models.policy import RiskBudget
from serving.engine import ServedModel
from serving.errors import NotReadyError
from serving.journal.draws import Stream, Verdict
from serving.lineup import Challenger, Lineup, Tally
from serving.metrics import Metrics
from serving.risk import RiskWatch, judge
from serving.wire import RiskAnswer, RiskState, Role
from tests.fakes import BOLD_POLICY
from tests.serving.journals import MODEL

BUDGET = RiskBudget(wrong=0.1)
BAD: tuple[Verdict, ...] = ("right", "wrong") * 20
GOOD: tuple[Verdict, ...] = ("right",) * 40


def drawn(*verdicts: Verdict) -> Stream:
    """Answers a minute apart, all of which were drawn."""
    return Stream(
        ids=tuple(f"{place:026d}" for place in range(len(verdicts))),
        at_ms=np.arange(len(verdicts), dtype=np.int64) * 60_000,
        chance=np.ones(len(verdicts)),
        drawn=np.ones(len(verdicts), dtype=np.bool_),
        verdicts=verdicts,
        said={},
    )


@pytest.mark.parametrize(
    ("stream", "budget", "state"),
    [
        (None, BUDGET, "off"),
        (drawn(*BAD), RiskBudget(wrong=1.0), "off"),
        (drawn(), BUDGET, "nothing"),
        (drawn("unread", *BAD), BUDGET, "quiet"),
        (drawn(*GOOD), BUDGET, "quiet"),
        (drawn(*BAD), BUDGET, "alarm"),
        (drawn(*BAD, *GOOD, *GOOD, *GOOD), BUDGET, "alarm"),
        (drawn("wrong", *("sensitive",) * 2_000), RiskBudget(wrong=0.001), "alarm"),
    ],
    ids=["nobody drawn", "no promise", "no answer", "the first waits", "good", "bad", "bad and then good", "all wrong"],
)
def test_what_was_drawn_and_read_says_whether_a_promise_is_broken(
    stream: Stream | None, budget: RiskBudget, state: RiskState
) -> None:
    found = judge(stream, budget)
    assert found.state == state
    assert (found.e_value is None) == (found.alarm_at is None) == (state == "off")
    if found.e_value is not None and len(stream.ids if stream else ()) <= 40:
        assert (found.e_value >= (found.alarm_at or 0)) == (state == "alarm")


class Desk:
    """A watch over a lineup and streams that a test changes."""

    def __init__(self) -> None:
        champion = replace(MODEL, predictor=MODEL.predictor.under(BOLD_POLICY.model_copy(update={"budget": BUDGET})))
        self.lineup: Lineup | None = Lineup(champion)
        self.streams: dict[str, Stream | None] = {}
        self.broken = False
        self.metrics = Metrics()
        self.watch = RiskWatch(self._read, self._running, self.metrics)

    def _running(self) -> Lineup:
        if self.lineup is None:
            raise NotReadyError("The server is draining.")
        return self.lineup

    def _read(self, model: ServedModel) -> Stream | None:
        if self.broken:
            raise OSError("gone")
        return self.streams.get(model.versions.model)

    def states(self) -> dict[Role, RiskState]:
        self.watch.look()
        return {role: found.state for role, found in self.watch.health().items()}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def named(lineup: Lineup, model: str) -> Lineup:
    """The lineup with a canary of that name beside its champion."""
    versions = lineup.champion.versions.model_copy(update={"model": model})
    canary = Challenger(replace(lineup.champion, versions=versions), "canary", 0.1, Tally(Metrics()))
    return lineup.trying(canary)


def test_before_the_first_look_nothing_is_said_and_an_alarm_goes_with_its_model(desk: Desk) -> None:
    assert desk.watch.health()["champion"] == RiskAnswer(state="unread", e_value=None, alarm_at=None)
    assert desk.lineup
    champion = desk.lineup.champion
    desk.streams[champion.versions.model] = drawn(*BAD)
    assert desk.states() == {"champion": "alarm"}
    desk.lineup = named(desk.lineup, "another").promoting()
    assert desk.watch.health()["champion"].state == "unread"
    assert desk.states() == {"champion": "off"}


def test_a_canary_is_watched_by_itself_and_a_shadow_is_not(desk: Desk) -> None:
    assert desk.lineup
    desk.lineup = named(desk.lineup, "canary")
    desk.streams = {desk.lineup.champion.versions.model: drawn(*GOOD), "canary": drawn(*BAD)}
    assert desk.states() == {"champion": "quiet", "canary": "alarm"}
    page = desk.metrics.render().decode()
    assert 'signalbox_risk_state{role="canary",state="alarm"} 1.0' in page
    assert 'signalbox_risk_state{role="champion",state="alarm"} 0.0' in page
    assert desk.lineup.challenger
    desk.lineup = desk.lineup.trying(replace(desk.lineup.challenger, mode="shadow"))
    assert desk.states() == {"champion": "quiet"}
    assert 'signalbox_risk_e_value{role="canary"} NaN' in desk.metrics.render().decode()


@pytest.mark.parametrize(("verdicts", "state"), [(GOOD, "stale"), (BAD, "alarm")])
def test_while_it_cannot_be_read_an_alarm_stays_and_quiet_is_no_news(
    desk: Desk, verdicts: tuple[Verdict, ...], state: RiskState
) -> None:
    assert desk.lineup
    desk.streams[desk.lineup.champion.versions.model] = drawn(*verdicts)
    desk.watch.look()
    desk.broken = True
    assert desk.states() == {"champion": state}
    desk.broken = False
    assert desk.states() == {"champion": "quiet" if verdicts == GOOD else "alarm"}


def test_a_server_that_is_about_to_end_says_nothing(desk: Desk) -> None:
    look: Callable[[], None] = desk.watch.look
    desk.lineup = None
    look()
    assert desk.watch.health() == {}
    assert 'signalbox_risk_e_value{role="champion"} NaN' in desk.metrics.render().decode()
