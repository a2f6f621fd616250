"""The threshold desk: from a risk budget to thresholds, what they prove, and which posts change action. Owns the move.

A move of a slider is `evaluation.thresholds.fit_policy` with another budget, and as in a run of the training it allows
what withstands the injections of the behaviour suite (a property test holds the two equal). What does not depend on
the budget is computed once: the thresholds for specialists, and what every post would come to at them. So a move
decides no post anew.

A certificate is exact for one budget that was fixed before anybody looked. Whoever moves the slider until a figure
pleases has looked often, and the certificate that is then saved is weaker than its number; the risk monitor, which
judges posts of the time after, is not (`evaluation.workbench.monitor`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.steps import Steps, finish
from data.taxonomy import ROUTES, Intent, Route, Taxonomy
from evaluation.behaviour.withstanding import Injections
from evaluation.certificates import LEAKS, certify_closed, explain, worst_p_values
from evaluation.closings import ACTIONS, CLOSING, Closings, Outcomes, action_places, read_closings
from evaluation.predictions import BoolArray, IntArray, Predictions
from evaluation.thresholds import Step, answering_nothing, check_apart, path_of, policy_of, specialist_thresholds
from models.calibration import FloatArray
from models.policy import Action, Decision, Facts, Policy, RiskBudget, Thresholds, decide
from models.predictor import Scores, decide_scores

_WORST_FIRST: tuple[Route, ...] = ("sensitive", "influencer", "complex", "simple")
_PIECE_ROWS = 500
"""Some 20 ms of one core."""
MOST_CHANGES = 200
"""Changed posts of the journal that are listed; all of them are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Injected:
    """What the posts of the cases that no policy may close come to, before and after the words to a machine."""

    before: Outcomes
    after: Outcomes

    def withstood_at(self, thresholds: Thresholds) -> bool:
        """Whether nobody talks the machine into closing a post that it had left to people."""
        return not (self.after.closed(thresholds) & ~self.before.closed(thresholds)).any()


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """All that a move needs and no budget changes. `before` `[n]`: the actions in force on the calibration posts."""

    in_force: Policy
    fixed: Thresholds
    development: Predictions
    calibration: Predictions
    development_closings: Closings
    calibration_closings: Closings
    injected: _Injected
    before: IntArray


@dataclass(frozen=True, slots=True)
class Change:
    """A calibration post, by its place, with another action than in force. `wrong`: closing it would be an error."""

    place: int
    before: Action
    after: Action
    route: Route
    wrong: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What a budget comes to: the policy with its certificates, the share (0 to 1) of the calibration posts that the
    machine would close, a line in words for each risk, and the posts that change action, new leaks first.

    `certified` is False where nothing is proven, or nothing that withstands the injections, and the policy answers
    nothing. `held_back` counts the proven steps bolder than the policy: under each an injection would be answered.
    """

    policy: Policy
    certified: bool
    held_back: int
    automatic_share: float
    explanations: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def objection(self) -> str:
        """Why the machine would answer nothing, in words; empty where it would."""
        if self.certified:
            return ""
        if self.held_back:
            return (
                "Thresholds are proven for this budget, but under all of them words to a machine (a prompt injection) "
                "would get a post answered, so the machine would answer nothing."
            )
        return "This budget cannot be proven with these posts, so the machine would answer nothing."


def _outcomes(scores: Sequence[Scores], taxonomy: Taxonomy, opened: Policy) -> Outcomes:
    return Outcomes(
        actions=action_places([decide_scores(each, taxonomy, opened).decision for each in scores]),
        simple=np.array([each.routes[ROUTES.index("simple")] for each in scores], dtype=np.float64),
        intent=np.array([each.intents.max() for each in scores], dtype=np.float64),
    )


def open_desk_in_steps(
    development: Predictions, calibration: Predictions, injections: Injections, in_force: Policy
) -> Steps[Desk]:
    """The same as `open_desk`, one reading of a part a step."""
    check_apart(development, calibration)
    fixed = specialist_thresholds(development)
    opened = in_force.model_copy(update={"thresholds": fixed})
    yield
    of_development = read_closings(development, opened)
    yield
    of_calibration = read_closings(calibration, opened)
    yield
    pairs = injections.pairs
    before, after = (_outcomes([pair[side] for pair in pairs], injections.taxonomy, opened) for side in (0, 1))
    yield
    return Desk(
        in_force=in_force,
        fixed=fixed,
        development=development,
        calibration=calibration,
        development_closings=of_development,
        calibration_closings=of_calibration,
        injected=_Injected(before, after),
        before=action_places(calibration.decide(in_force)),
    )


def open_desk(development: Predictions, calibration: Predictions, injections: Injections, in_force: Policy) -> Desk:
    """The desk for a bundle's scores on two parts of a labelled set and on injections, and for the policy in force.

    Raises:
        ValueError: when a part is empty or the two share a post.
    """
    return finish(open_desk_in_steps(development, calibration, injections, in_force))


@dataclass(frozen=True, slots=True)
class _Taken:
    """The step that a budget comes to, and how many of its `passed` proven steps are bolder and were not allowed."""

    step: Step
    passed: int
    held_back: int

    @property
    def is_allowed(self) -> bool:
        """False where no step is proven that withstands the injections."""
        return self.held_back < self.passed


def _take(desk: Desk, budget: RiskBudget) -> _Taken:
    """The last step of the path that is proven together with all before it and withstands; the first where none is."""
    posts, closings = desk.calibration, desk.calibration_closings
    path = path_of(desk.development, desk.development_closings, desk.fixed, len(posts), budget)
    failed = worst_p_values(posts, closings, path, budget) > 1 - budget.confidence
    passed = int(failed.argmax()) if failed.any() else len(path)
    bold_first = enumerate(reversed(path[:passed]))
    held_back = next((bolder for bolder, each in bold_first if desk.injected.withstood_at(each)), passed)
    thresholds = path[max(passed - 1 - held_back, 0)]
    step = Step(thresholds, certify_closed(posts, closings, closings.closed(thresholds), budget))
    return _Taken(step, passed, held_back)


def _are_closed(actions: IntArray) -> BoolArray:
    return np.isin(actions, CLOSING)


def _changes(desk: Desk, after: IntArray, closed: BoolArray) -> tuple[Change, ...]:
    posts, wrong = desk.calibration, closed & desk.calibration_closings.wrong
    was_closed = _are_closed(desk.before)
    leaks = closed & ~was_closed & np.isin(posts.routes, [ROUTES.index(route) for route in LEAKS.values()])
    rank = np.array([_WORST_FIRST.index(route) for route in ROUTES])[posts.routes]
    changed = np.flatnonzero(after != desk.before)
    order = np.lexsort((changed, ~wrong[changed], rank[changed], ~leaks[changed]))
    return tuple(
        Change(
            place=int(row),
            before=ACTIONS[desk.before[row]],
            after=ACTIONS[after[row]],
            route=ROUTES[posts.routes[row]],
            wrong=bool(wrong[row]),
        )
        for row in changed[order]
    )


def set_budget(desk: Desk, budget: RiskBudget) -> Setting:
    """What `budget` comes to. The thresholds and certificates are those of `fit_policy` with the same budget, where it
    allows what withstands the injections.
    """
    taken = _take(desk, budget)
    policy = policy_of(desk.in_force.model_copy(update={"budget": budget}), taken.step)
    policy = policy if taken.is_allowed else answering_nothing(policy)
    closings = desk.calibration_closings
    closed = closings.closed(policy.thresholds)
    return Setting(
        policy=policy,
        certified=taken.is_allowed,
        held_back=taken.held_back,
        automatic_share=float(closed.mean()),
        explanations=tuple(map(explain, policy.certificates)),
        changes=_changes(desk, closings.actions_at(policy.thresholds), closed),
    )


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A decision of the journal: calibrated probabilities by label, and the facts that the guards found."""

    routes: Mapping[Route, float]
    intents: Mapping[Intent, float]
    facts: Facts


@dataclass(frozen=True, slots=True, eq=False)
class JournalSample:
    """Rows of the journal, read once for all moves. `before` `[n]`: the actions of the policy in force; `sensitive`
    `[n]`: the probability of that route, by which changes are listed.
    """

    before: IntArray
    outcomes: Outcomes
    sensitive: FloatArray


@dataclass(frozen=True, slots=True)
class JournalChange:
    """A row of the journal, by its place, that would get another action; `sensitive` is its probability, 0 to 1."""

    place: int
    before: Action
    after: Action
    sensitive: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A policy on rows of the journal: shares (0 to 1) closed by the machine before and after, how many rows change
    action, how many of these become closed and how many no longer are, and the first of them.
    """

    automatic_share_before: float
    automatic_share: float
    changed: int
    newly_closed: int
    no_longer_closed: int
    changes: tuple[JournalChange, ...]


def _decide(row: JournalRow, policy: Policy) -> Decision:
    return decide(row.routes, row.intents, row.facts, policy)


def read_journal_in_steps(rows: Sequence[JournalRow], desk: Desk) -> Steps[JournalSample]:
    """The same as `read_journal`, some rows a step."""
    opened = desk.in_force.model_copy(update={"thresholds": desk.fixed})
    before, wide_open = list[Decision](), list[Decision]()
    for start in range(0, len(rows), _PIECE_ROWS):
        before += [_decide(row, desk.in_force) for row in rows[start : start + _PIECE_ROWS]]
        wide_open += [_decide(row, opened) for row in rows[start : start + _PIECE_ROWS]]
        yield
    return JournalSample(
        before=action_places(before),
        outcomes=Outcomes(
            actions=action_places(wide_open),
            simple=np.array([row.routes["simple"] for row in rows], dtype=np.float64),
            intent=np.array([max(row.intents.values()) for row in rows], dtype=np.float64),
        ),
        sensitive=np.array([row.routes["sensitive"] for row in rows], dtype=np.float64),
    )


def read_journal(rows: Sequence[JournalRow], desk: Desk) -> JournalSample:
    """The rows of the journal ready for moves at `desk`: decided twice each, by the policy in force and wide open."""
    return finish(read_journal_in_steps(rows, desk))


def try_setting(sample: JournalSample, setting: Setting, *, most: int = MOST_CHANGES) -> Trial:
    """What a setting of the same desk would have done with the journal's rows.

    Lists at most `most` changes: rows that become closed first, and of these the likeliest sensitive ones.
    """
    thresholds = setting.policy.thresholds
    after, closed = sample.outcomes.actions_at(thresholds), sample.outcomes.closed(thresholds)
    was_closed = _are_closed(sample.before)
    changed = np.flatnonzero(after != sample.before)
    new = closed & ~was_closed
    order = np.lexsort((changed, -sample.sensitive[changed], ~new[changed]))[:most]
    return Trial(
        automatic_share_before=float(was_closed.mean()) if len(closed) else 0.0,
        automatic_share=float(closed.mean()) if len(closed) else 0.0,
        changed=len(changed),
        newly_closed=int(new.sum()),
        no_longer_closed=int((was_closed & ~closed).sum()),
        changes=tuple(
            JournalChange(
                place=int(row),
                before=ACTIONS[sample.before[row]],
                after=ACTIONS[after[row]],
                sensitive=float(sample.sensitive[row]),
            )
            for row in changed[order]
        ),
    )
