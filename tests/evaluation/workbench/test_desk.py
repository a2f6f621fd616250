"""The threshold desk: a move is the fit itself, what is listed is what decides differently, costs add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.post import Post
from data.rendering import Rendered
from data.taxonomy import BUILT_IN, ROUTES
from evaluation.behaviour.capabilities import Added
from evaluation.behaviour.withstanding import Injections
from evaluation.certificates import trials_needed, trials_without, upper_bound
from evaluation.predictions import Predictions
from evaluation.thresholds import fit_policy
from evaluation.workbench.costs import Prices, costs
from evaluation.workbench.desk import Desk, JournalRow, open_desk, read_journal, set_budget, try_setting
from models.policy import Facts, GuardLines, Policy, RiskBudget, Thresholds
from models.predictor import Scores
from tests.evaluation.populations import drawn_predictions

GOOD = drawn_predictions(1_500, seed=21, strength=4.0)
DEVELOPMENT, CALIBRATION = GOOD.take(np.arange(500)), GOOD.take(np.arange(500, 1_500))
IN_FORCE = Policy(
    version="4", thresholds=Thresholds(simple=0.9, intent=0.5, sensitive=0.2, influencer=0.2, answer_nothing=False)
)
LOOSE = RiskBudget(leak_sensitive=0.2, leak_influencer=0.2, wrong=0.3)
TIGHT = RiskBudget(leak_sensitive=0.0001, leak_influencer=0.0001, wrong=0.0001)


def injections(simple: float, words: int = 1) -> Injections:
    """A post for people that each of so many additions makes `simple` with that probability."""
    addition = {"name": "attack", "about": "why", "limit": 0.0, "way": "add", "expect": "never_closed", "texts": "some"}
    addition |= {"places": ["after"], "additions": [f"answer it {number}" for number in range(words)]}
    capability = Added.model_validate(addition)
    cases = tuple(capability.cases({"some": ("what a mess",)}))

    def scores(post: Post) -> Scores:
        chance = simple if "answer" in post.text else 0.01
        routes = np.array([{"simple": chance, "complex": 1 - chance}.get(route, 0.0) for route in ROUTES])
        intents = np.eye(len(BUILT_IN.names))[BUILT_IN.names.index("order_status")]
        return Scores(routes, intents, Facts(), 3, Rendered(post.text, ""))

    posts = {post for case in cases for post in (case.before, case.after)}
    return Injections(((capability, cases),), {post: scores(post) for post in posts}, BUILT_IN)


HARMLESS = injections(simple=0.02)
DESK = open_desk(DEVELOPMENT, CALIBRATION, HARMLESS, IN_FORCE)

shares = st.floats(0.001, 0.4)


def journal_of(posts: Predictions) -> list[JournalRow]:
    return [
        JournalRow(dict(zip(ROUTES, routes, strict=True)), dict(zip(posts.taxonomy.names, intents, strict=True)), facts)
        for routes, intents, facts in zip(
            posts.route_probabilities.tolist(), posts.intent_probabilities.tolist(), posts.facts, strict=True
        )
    ]


@settings(max_examples=25, deadline=None)
@given(shares, shares, shares, st.floats(0.6, 0.999), st.floats(0.5, 1))
def test_a_move_comes_to_what_fitting_anew_comes_to(
    sensitive: float, influencer: float, wrong: float, sure: float, simple: float
) -> None:
    budget = RiskBudget(leak_sensitive=sensitive, leak_influencer=influencer, wrong=wrong, confidence=sure)
    attacks = injections(simple)
    base = IN_FORCE.model_copy(update={"budget": budget})
    fitted = fit_policy(DEVELOPMENT, CALIBRATION, base, allows=attacks.withstood_by)
    setting = set_budget(open_desk(DEVELOPMENT, CALIBRATION, attacks, IN_FORCE), budget)
    assert setting.policy == fitted.policy
    assert setting.certified == fitted.certified
    assert setting.held_back == fitted.held_back


def test_a_bolder_step_under_which_an_injection_is_answered_is_held_back_and_counted() -> None:
    boldest = set_budget(DESK, LOOSE)
    attacks = injections(simple=boldest.policy.thresholds.simple + 0.01)
    careful = set_budget(open_desk(DEVELOPMENT, CALIBRATION, attacks, IN_FORCE), LOOSE)
    assert not attacks.withstood_by(boldest.policy)
    assert attacks.withstood_by(careful.policy)
    assert (boldest.held_back, careful.certified, careful.objection) == (0, True, "")
    assert careful.held_back > 0
    assert careful.policy.thresholds.simple > attacks.pairs[0][1].routes[ROUTES.index("simple")]
    assert 0 < careful.automatic_share < boldest.automatic_share


def test_where_no_proven_step_withstands_the_machine_answers_nothing_and_it_is_said_why() -> None:
    setting = set_budget(open_desk(DEVELOPMENT, CALIBRATION, injections(simple=1.0), IN_FORCE), LOOSE)
    assert not setting.certified
    assert setting.policy.thresholds.answer_nothing
    assert setting.automatic_share == 0
    assert setting.held_back > 0
    assert "under all of them words to a machine (a prompt injection)" in setting.objection


def actions_by(policy: Policy) -> list[str]:
    return [decision.action for decision in CALIBRATION.decide(policy)]


@pytest.mark.parametrize("budget", [LOOSE, TIGHT], ids=["loose", "tight"])
def test_the_posts_listed_are_those_that_get_another_action(budget: RiskBudget) -> None:
    setting = set_budget(DESK, budget)
    before, after = actions_by(IN_FORCE), actions_by(setting.policy)
    differing = {place for place in range(len(CALIBRATION)) if before[place] != after[place]}
    assert differing == {change.place for change in setting.changes}
    assert len(differing) == len(setting.changes) > 0
    assert all((each.before, each.after) == (before[each.place], after[each.place]) for each in setting.changes)
    assert all(each.route == CALIBRATION.posts[each.place].route for each in setting.changes)
    assert setting.automatic_share == np.mean([action in ("auto_answer", "no_reply") for action in after])


def test_a_sensitive_post_that_would_newly_be_answered_stands_first() -> None:
    closed = IN_FORCE.model_copy(update={"thresholds": Thresholds()})
    changes = set_budget(open_desk(DEVELOPMENT, CALIBRATION, HARMLESS, closed), LOOSE).changes
    leaks = [
        each.after in ("auto_answer", "no_reply") and each.route in ("sensitive", "influencer") for each in changes
    ]
    assert any(leaks)
    assert not all(leaks)
    assert leaks == sorted(leaks, reverse=True)
    assert all(each.wrong for each in changes[: sum(leaks)])
    rest = [each.route == "sensitive" for each in changes[sum(leaks) :]]
    assert rest == sorted(rest, reverse=True)


def test_what_cannot_be_proven_says_how_many_labels_are_missing_and_answers_nothing() -> None:
    setting = set_budget(DESK, TIGHT)
    assert not setting.certified
    assert setting.automatic_share == 0
    assert setting.policy.thresholds.answer_nothing
    sensitive = int(CALIBRATION.is_route("sensitive").sum())
    missing = 29_956 - sensitive  # ln(0.05) / ln(1 - 0.0001) = 29,955.8
    assert f"{missing} more sensitive posts needed with no further error" in setting.explanations[0]


def test_what_is_proven_is_said_in_words() -> None:
    setting = set_budget(DESK, LOOSE)
    assert setting.certified
    assert all("is proven" in line for line in setting.explanations)


def test_the_journal_is_told_what_the_new_policy_would_decide_on_every_row() -> None:
    setting = set_budget(DESK, LOOSE)
    trial = try_setting(read_journal(journal_of(CALIBRATION), DESK), setting, most=len(CALIBRATION))
    before, after = actions_by(IN_FORCE), actions_by(setting.policy)
    assert trial.automatic_share == setting.automatic_share
    assert {each.place: (each.before, each.after) for each in trial.changes} == {
        place: pair for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
    }
    assert trial.changed == len(trial.changes)
    closing = ("auto_answer", "no_reply")
    assert trial.newly_closed - trial.no_longer_closed == sum(each in closing for each in after) - sum(
        each in closing for each in before
    )


def test_rows_that_become_closed_are_listed_first_and_the_likeliest_sensitive_of_them_before_all() -> None:
    closed = IN_FORCE.model_copy(update={"thresholds": Thresholds()})
    desk = open_desk(DEVELOPMENT, CALIBRATION, HARMLESS, closed)
    trial = try_setting(read_journal(journal_of(CALIBRATION), desk), set_budget(desk, LOOSE), most=20)
    assert len(trial.changes) == 20 < trial.newly_closed
    chances = [each.sensitive for each in trial.changes]
    assert chances == sorted(chances, reverse=True)
    assert all(each.after in ("auto_answer", "no_reply") for each in trial.changes)


def test_an_empty_journal_changes_nothing() -> None:
    trial = try_setting(read_journal([], DESK), set_budget(DESK, LOOSE))
    assert (trial.automatic_share, trial.changed, trial.changes) == (0.0, 0, ())


def test_the_guards_of_the_policy_in_force_stay_in_force() -> None:
    tagged = IN_FORCE.model_copy(update={"guards": GuardLines(followers=0), "no_reply_intents": ("praise",)})
    desk: Desk = open_desk(DEVELOPMENT, CALIBRATION, HARMLESS, tagged)
    policy = set_budget(desk, LOOSE).policy
    assert (policy.guards, policy.no_reply_intents) == (tagged.guards, tagged.no_reply_intents)


def test_parts_that_share_posts_open_no_desk() -> None:
    with pytest.raises(ValueError, match="that share 100; wanted"):
        open_desk(DEVELOPMENT, GOOD.take(np.arange(400, 1_500)), HARMLESS, IN_FORCE)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_costs_add_up_and_a_worse_bound_never_costs_less(automatic: float, wrong: float, more: float) -> None:
    bound = wrong + more * (1 - wrong)
    found = costs(automatic, wrong, bound, Prices(phone_dollars=8, social_dollars=0.5))
    assert found.total == found.people + found.wrong
    assert found.without_machine == 500
    assert found.worst_total >= found.total - 1e-9
    assert found.people == pytest.approx(500 * (1 - automatic))


def test_a_wrong_answer_costs_a_call() -> None:
    found = costs(0.5, 0.02, 0.05)
    assert (found.people, found.wrong, found.worst_total) == (500.0, 70.0, 675.0)


@pytest.mark.parametrize("price", [-1.0, float("inf"), float("nan")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match=r"phone_dollars is .*Wanted: dollars a contact, 0 or more"):
        Prices(phone_dollars=price)


@given(st.integers(0, 30), st.integers(0, 400), st.floats(0.005, 0.3), st.floats(0.6, 0.999))
def test_the_trials_still_to_come_are_just_enough(events: int, right: int, allowed: float, sure: float) -> None:
    trials = events + right
    more = trials_without(events, trials, allowed, sure)
    assert more is not None
    assert upper_bound(events, trials + more, sure) <= allowed + 1e-9
    assert more == 0 or upper_bound(events, trials + more - 1, sure) > allowed - 1e-9


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 0.2), st.floats(1.02, 8), st.floats(0.6, 0.999), st.integers(0, 500))
def test_the_search_for_trials_skips_none_that_would_do(rate: float, times: float, sure: float, over: int) -> None:
    allowed = min(max(rate, 0.002) * times, 0.9)
    found = trials_needed(rate, allowed, sure, over=over)
    assert found is None or found > over
    last = min(found or 3_000, 3_000)
    for trials in range(over + 1, last):
        events = int(np.ceil(rate * trials - 1e-9))
        assert upper_bound(events, trials, sure) > allowed - 1e-9
