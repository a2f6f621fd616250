"""Thresholds that are proven, not picked: fixed-sequence testing of a path from safe to bold.

Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052) with fixed-sequence testing. Everything about the path is
chosen on the development split alone. Its steps are then tested in order on the calibration split,
each at the full level d = 1 - confidence, up to the first that is not certified; the last certified step is taken.
The chance that the policy taken breaks any promised risk is at most d: it would need a true hypothesis rejected, and
the first true one on the path is tested at level d once. No later test runs unless that one was passed.

How the path is chosen (development split):

1. `sensitive` and `influencer`: the lowest thresholds at which at most 10 % of the posts that need no specialist go to
   one on that score; between 0.02 and 0.5. They stay the same along the path.
2. `simple` goes down a ladder of at most 200 values, from the most confident closable post to 0.5, where the post is
   still more likely simple than all else together.
3. `intent` is the value of a grid with which the path is expected to close most posts, the highest of equal ones,
   among those at which no more than a fifth of the posts closed at the bold end are answered for another need.
4. The path starts at the safest step whose chance to pass all three tests is nearly the best of all. That chance is
   small at the far safe end (too few posts closed to prove anything about `wrong`) and at the bold end. It is that of
   a binomial draw of the calibration split's size at the rate of errors seen on the development split, with half an
   error and half a right one added.

Whoever fits may ask more of a policy than what is proven (`allows`): the boldest step that is certified and allowed is
taken. That proves nothing less, since all certificates up to the last hold together.

The tests count trials as independent. Posts of one author, thread, pair or manner are not quite: keep groups whole in
splits, and look in how many groups the errors lie. The exact intervals of leaks and wrong closings in
`evaluation.summary` look at no groups either (docs/evaluation.md has what that comes to on our corpus).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.dependencies import needs_group
from data.taxonomy import ROUTES
from evaluation.certificates import LEAKS, Risk, all_certified, budget_of, certify_closed
from evaluation.closings import Closings, read_closings
from evaluation.predictions import IntArray, Predictions
from models.calibration import FloatArray
from models.policy import Certificate, Policy, RiskBudget, Thresholds

with needs_group("evaluate", "Fitting thresholds"):
    from scipy.special import bdtr
    from scipy.stats import binom

FALSE_ALARMS = 0.10
"""The share of simple and complex posts that each specialist threshold may send to specialists. With sensitive posts
at a tenth of a feed, a queue at this line holds about one real one to every false one: it costs specialists time,
and the alternative costs customers."""
MIN_SPECIALIST, MAX_SPECIALIST = 0.02, 0.5
MIN_SIMPLE = 0.5
LADDER_STEPS = 200
MAX_OTHER_NEED = 0.2
"""The share of closings that development may see answered for another need. Two careful readers differ on 12 % of the
intents, so much less cannot be asked; what it comes to is measured in every summary (`docs/decisions/0009`)."""
INTENT_VALUES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_DIGITS = 10_000
"""Thresholds are written with four decimals."""
_EVEN_CHANCE = 0.5
_NEARLY_BEST = 0.99
"""Of the best chance. The very best step stands just before the first leak of the development split, a much safer one
closes too few posts to prove anything about `wrong`; docs/evaluation.md has what each start came to."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tested place of the path and what the calibration split proved there."""

    thresholds: Thresholds
    certificates: tuple[Certificate, ...]

    @property
    def p_value(self) -> float:
        """The largest p-value of the risks: that of "some risk is over its budget"."""
        return max(each.p_value for each in self.certificates)

    @property
    def certified(self) -> bool:
        """True where all risks are proven."""
        return all_certified(self.certificates)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The policy taken, the path that development chose, and the steps that were tested: all passed but the last."""

    policy: Policy
    path: tuple[Thresholds, ...]
    steps: tuple[Step, ...]

    @property
    def certified(self) -> bool:
        """False where nothing could be proven, or nothing that is allowed, and the policy answers nothing."""
        return not self.policy.thresholds.answer_nothing

    @property
    def held_back(self) -> int:
        """Certified steps that are bolder than the policy: they were not allowed."""
        proven = [step.thresholds for step in self.steps if step.certified]
        return len(proven) - (1 + proven.index(self.policy.thresholds) if self.certified else 0)


def specialist_threshold(scores: FloatArray, false_alarms: float = FALSE_ALARMS) -> float:
    """The lowest threshold that at most `false_alarms` of `[n]` scores reach, 0.02 to 0.5.

    `scores` are those of posts that need no specialist.
    """
    ranked = np.sort(scores)[::-1]
    allowed = int(false_alarms * len(ranked))
    first_refused = float(ranked[allowed]) if allowed < len(ranked) else 0.0
    above = (np.floor(first_refused * _DIGITS) + 1) / _DIGITS
    return float(np.clip(above, MIN_SPECIALIST, MAX_SPECIALIST))


def ladder(closings: Closings) -> FloatArray:
    """Values of the threshold `simple` from safe to bold, `[1..200]`, ending at 0.5."""
    reached = closings.simple[closings.closable & (closings.simple >= MIN_SIMPLE)]
    values = np.unique(np.append(np.floor(reached * _DIGITS) / _DIGITS, MIN_SIMPLE))[::-1]
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), LADDER_STEPS)).astype(int))
    return np.asarray(values[kept], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Likely:
    """What is expected of a sample `scale` times as large as the one that counts are from."""

    scale: float
    budget: RiskBudget

    def to_pass(self, risk: Risk, events: IntArray, trials: IntArray) -> FloatArray:
        """The chance that such a sample certifies `risk`, `[s]`, from events `[s]` and trials `[s]` or `[1]`."""
        allowed, level = budget_of(self.budget, risk), 1 - self.budget.confidence
        if allowed >= 1:
            return np.ones(len(events))
        expected = np.round(trials * self.scale).astype(np.int64)
        most = np.asarray(binom.ppf(level, expected, allowed)).astype(np.int64)
        most = np.where(bdtr(most, expected, allowed) <= level, most, most - 1)
        rate = (events + 0.5) / (trials + 1)
        return np.where(most < 0, 0.0, bdtr(np.maximum(most, 0), expected, rate))


@dataclass(frozen=True, slots=True, eq=False)
class _Outlook:
    """What development expects of a ladder at one intent threshold: `chance` and `closed`, both `[s]`."""

    chance: FloatArray
    closed: IntArray

    @property
    def start(self) -> int:
        """The safest step that is nearly as likely to be certified as any."""
        return int((self.chance >= _NEARLY_BEST * self.chance.max()).argmax())

    @property
    def reach(self) -> float:
        """How many development posts are closed at the last step that an even chance leads to; below 1 for none.

        Where there is no such step the best chance itself, so that outlooks can still be compared.
        """
        likely = self.chance[self.start :] >= _EVEN_CHANCE
        if not likely[0]:
            return float(self.chance.max())
        steps = len(likely) if likely.all() else int(likely.argmin())
        return float(1 + self.closed[self.start + steps - 1])


def _outlook(
    development: Predictions, closings: Closings, rungs: FloatArray, intent: float, likely: _Likely
) -> _Outlook:
    rows = np.flatnonzero(closings.closable & (closings.intent >= intent) & (closings.simple >= MIN_SIMPLE))
    closed = closings.simple[rows] >= rungs[:, None]
    totals = closed.sum(axis=1)
    chance = likely.to_pass("wrong", (closed & closings.wrong[rows]).sum(axis=1), totals)
    for risk, route in LEAKS.items():
        is_route = development.is_route(route)
        events = (closed & is_route[rows]).sum(axis=1)
        passes = likely.to_pass(risk, events, np.array([is_route.sum()]))
        # So few posts that not even none closed would prove it tell no step from another; the test may have more.
        chance = chance * passes if passes.any() else chance
    return _Outlook(chance=chance, closed=totals)


def _other_need_share(closings: Closings, intent: float) -> float:
    """The share of what is closed at the bold end with that threshold `intent` that is answered for another need."""
    closed = closings.closable & (closings.simple >= MIN_SIMPLE) & (closings.intent >= intent)
    return float((closed & closings.other_need).sum() / max(closed.sum(), 1))


def specialist_thresholds(development: Predictions) -> Thresholds:
    """The thresholds `sensitive` and `influencer` that all steps of a path share; the other two still answer all."""
    calm = development.is_route("simple") | development.is_route("complex")
    return Thresholds(
        simple=0.0,
        intent=0.0,
        sensitive=specialist_threshold(development.route_probabilities[calm, ROUTES.index("sensitive")]),
        influencer=specialist_threshold(development.route_probabilities[calm, ROUTES.index("influencer")]),
        answer_nothing=False,
    )


def path_of(
    development: Predictions, closings: Closings, fixed: Thresholds, calibration_posts: int, budget: RiskBudget
) -> tuple[Thresholds, ...]:
    """The path of `choose_path` where the closings at the specialist thresholds `fixed` have been read already."""
    rungs = ladder(closings)
    likely = _Likely(calibration_posts / max(len(development), 1), budget)
    values = [value for value in INTENT_VALUES if _other_need_share(closings, value) <= MAX_OTHER_NEED]
    outlooks = {value: _outlook(development, closings, rungs, value, likely) for value in values or INTENT_VALUES[-1:]}
    intent = max(sorted(outlooks, reverse=True), key=lambda value: outlooks[value].reach)
    simple = rungs[outlooks[intent].start :].tolist()
    return tuple(fixed.model_copy(update={"simple": value, "intent": intent}) for value in simple)


def choose_path(development: Predictions, calibration_posts: int, base: Policy) -> tuple[Thresholds, ...]:
    """The thresholds to test, from safe to bold, at least one; chosen on the development split alone.

    Of the calibration split only its size is known here, `calibration_posts`.
    """
    fixed = specialist_thresholds(development)
    closings = read_closings(development, base.model_copy(update={"thresholds": fixed}))
    return path_of(development, closings, fixed, calibration_posts, base.budget)


def walk(path: Sequence[Thresholds], calibration: Predictions, base: Policy) -> tuple[Step, ...]:
    """The steps of `path` tested in order on the calibration split, up to and with the first that fails.

    All thresholds of the path share `sensitive` and `influencer`.
    """
    closings = read_closings(calibration, base.model_copy(update={"thresholds": path[0]}))
    steps: list[Step] = []
    for thresholds in path:
        certificates = certify_closed(calibration, closings, closings.closed(thresholds), base.budget)
        steps.append(Step(thresholds, certificates))
        if not steps[-1].certified:
            break
    return tuple(steps)


def answering_nothing(policy: Policy) -> Policy:
    """The policy with the specialists' thresholds alone."""
    thresholds = Thresholds(sensitive=policy.thresholds.sensitive, influencer=policy.thresholds.influencer)
    return policy.model_copy(update={"thresholds": thresholds})


def policy_of(base: Policy, taken: Step) -> Policy:
    """The policy of a step: its thresholds where all is proven, else one that answers nothing and says what lacks."""
    policy = base.model_copy(update={"thresholds": taken.thresholds, "certificates": taken.certificates})
    return policy if taken.certified else answering_nothing(policy)


def check_apart(development: Predictions, calibration: Predictions) -> None:
    """Nothing; both splits have posts, and share none.

    Raises:
        ValueError: when a split is empty or the two share a post.
    """
    shared = {post.id for post in development.posts} & {post.id for post in calibration.posts}
    if shared or not len(development) or not len(calibration):
        raise ValueError(
            f"Thresholds were to be fitted on {len(development)} development and {len(calibration)} calibration posts "
            f"that share {len(shared)}; wanted some posts in both and none shared, or nothing is proven. "
            "Take two parts of one split: python -m data split FILE --out SPLITS"
        )


def allow_all(_: Policy) -> bool:
    """True: nothing is asked of a policy but its proof."""
    return True


def fit_policy(
    development: Predictions,
    calibration: Predictions,
    base: Policy,
    *,
    allows: Callable[[Policy], bool] = allow_all,
) -> Fitted:
    """The boldest policy on the path that is allowed and whose risks are all within `base.budget`, proven on the
    calibration split.

    Guards, lists and budget are those of `base`. Where the first step is not certified the policy answers nothing,
    and its certificates say how many labels are missing; where no certified step is allowed it answers nothing too.

    Raises:
        ValueError: when a split is empty or the two share a post.
    """
    check_apart(development, calibration)
    path = choose_path(development, len(calibration), base)
    steps = walk(path, calibration, base)
    certified = [policy_of(base, step) for step in reversed(steps) if step.certified]
    policy = next((policy for policy in certified if allows(policy)), answering_nothing(policy_of(base, steps[0])))
    return Fitted(policy=policy, path=path, steps=steps)
