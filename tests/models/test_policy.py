"""The decision: each rule, their order and words, and that no doubt ever closes a post."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.taxonomy import BUILT_IN, PLATFORMS, ROUTES, Intent, Route
from models.policy import (
    Action,
    Decision,
    Facts,
    GuardLines,
    Policy,
    Promise,
    Queue,
    Reason,
    Template,
    Thresholds,
    decide,
    due,
)

TODAY = date(2026, 11, 22)
THRESHOLDS = Thresholds(simple=0.9, intent=0.5, sensitive=0.1, influencer=0.3, answer_nothing=False)
POLICY = Policy(thresholds=THRESHOLDS)
FACTS = Facts(platform="x", lang="en", today=TODAY)


def routes(**given: float) -> dict[Route, float]:
    """Probabilities of the four routes, the rest spread over those that are not given."""
    left = [name for name in ROUTES if name not in given]
    share = (1.0 - sum(given.values())) / len(left)
    return {name: given.get(name, share) for name in ROUTES}


def intents(label: Intent = "order_status", confidence: float = 0.96) -> dict[Intent, float]:
    share = (1.0 - confidence) / (len(BUILT_IN.names) - 1)
    return {name: confidence if name == label else share for name in BUILT_IN.names}


SURE = routes(simple=0.97, complex=0.02)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_sure_simple_post_is_answered() -> None:
    decision = decide(SURE, intents(), FACTS, POLICY)
    assert decision == Decision(
        action="auto_answer",
        queue="auto",
        abstained=False,
        move_to_private=False,
        reasons=(Reason("simple_over_threshold", "simple 0.970 >= 0.900"),),
    )
    assert decision.closed_by_machine


def test_a_sure_simple_post_that_asks_for_nothing_gets_no_reply() -> None:
    decision = decide(SURE, intents("not_service"), FACTS, POLICY)
    assert (decision.action, decision.queue) == ("no_reply", "closed")
    assert decision.reasons == (Reason("no_reply_needed", "not_service, simple 0.970 >= 0.900"),)
    assert decision.closed_by_machine
    assert not decision.abstained


def test_a_post_exactly_at_both_thresholds_is_answered() -> None:
    decision = decide(routes(simple=0.9, complex=0.1), intents(confidence=0.5), FACTS, POLICY)
    assert decision.action == "auto_answer"


@pytest.mark.parametrize(
    ("facts", "action", "queue", "reason"),
    [
        (
            replace(FACTS, supported_language=False, lang="de"),
            "agent",
            "agents",
            Reason("language_not_supported", "language de"),
        ),
        (
            replace(FACTS, supported_language=False, lang=None),
            "agent",
            "agents",
            Reason("language_not_supported", "language unknown"),
        ),
        (
            replace(FACTS, readable=False),
            "agent",
            "agents",
            Reason("nothing_readable", "no words are left without links and mentions"),
        ),
        (
            replace(FACTS, truncated=True),
            "agent",
            "agents",
            Reason("too_long", "the post is longer than the model reads"),
        ),
        (
            replace(FACTS, exposed=("card", "phone")),
            "specialist",
            "privacy",
            Reason("personal_data_exposed", "card, phone"),
        ),
        (
            replace(FACTS, authority="ofcom is named"),
            "specialist",
            "sensitive",
            Reason("authority_named", "ofcom is named"),
        ),
        (
            replace(FACTS, followers=50_000),
            "specialist",
            "influencer",
            Reason("followers_over_line", "followers 50000 >= 50000"),
        ),
        (
            replace(FACTS, reposts=500),
            "specialist",
            "influencer",
            Reason("reposts_over_line", "reposts 500 >= 500"),
        ),
        (
            replace(FACTS, vip=True),
            "specialist",
            "influencer",
            Reason("vip_author", "the author is on the VIP list"),
        ),
    ],
)
def test_each_fact_overrules_a_sure_simple_score(facts: Facts, action: Action, queue: Queue, reason: Reason) -> None:
    decision = decide(SURE, intents(), facts, POLICY)
    assert (decision.action, decision.queue, decision.reasons) == (action, queue, (reason,))
    assert decision.abstained
    assert not decision.closed_by_machine


@pytest.mark.parametrize("facts", [replace(FACTS, followers=49_999), replace(FACTS, reposts=499)])
def test_reach_under_the_line_overrules_nothing(facts: Facts) -> None:
    assert decide(SURE, intents(), facts, POLICY).action == "auto_answer"


def test_the_lines_of_reach_are_the_policys() -> None:
    policy = POLICY.model_copy(update={"guards": GuardLines(followers=100, reposts=5)})
    decision = decide(SURE, intents(), replace(FACTS, followers=100, reposts=5), policy)
    assert decision.reasons == (
        Reason("followers_over_line", "followers 100 >= 100"),
        Reason("reposts_over_line", "reposts 5 >= 5"),
    )


@pytest.mark.parametrize(
    ("scores", "queue", "reason"),
    [
        (
            routes(simple=0.9, sensitive=0.1),
            "sensitive",
            Reason("sensitive_over_threshold", "sensitive 0.100 >= 0.100"),
        ),
        (
            routes(simple=0.7, influencer=0.3),
            "influencer",
            Reason("influencer_over_threshold", "influencer 0.300 >= 0.300"),
        ),
    ],
)
def test_a_risky_route_at_its_threshold_goes_to_specialists(
    scores: dict[Route, float], queue: Queue, reason: Reason
) -> None:
    decision = decide(scores, intents(), FACTS, POLICY)
    assert (decision.action, decision.queue, decision.reasons) == ("specialist", queue, (reason,))
    assert decision.abstained


def test_the_first_rule_sets_the_action_and_all_that_fire_are_listed_in_order() -> None:
    facts = Facts(
        platform="x",
        lang="de",
        supported_language=False,
        readable=False,
        truncated=True,
        exposed=("iban",),
        authority="an authority is tagged",
        followers=60_000,
        reposts=600,
        vip=True,
        today=TODAY,
    )
    decision = decide(routes(sensitive=0.5, influencer=0.4), intents(), facts, POLICY)
    assert codes(decision) == [
        "language_not_supported",
        "nothing_readable",
        "personal_data_exposed",
        "authority_named",
        "followers_over_line",
        "reposts_over_line",
        "vip_author",
        "sensitive_over_threshold",
        "influencer_over_threshold",
    ]
    assert (decision.action, decision.queue) == ("agent", "agents")
    assert decision.move_to_private


def test_exposed_data_goes_to_privacy_before_any_other_specialist() -> None:
    facts = replace(FACTS, exposed=("phone",), authority="ofcom is named", followers=90_000)
    decision = decide(routes(sensitive=0.9), intents(), facts, POLICY)
    assert (decision.action, decision.queue, decision.move_to_private) == ("specialist", "privacy", True)


def test_sensitive_comes_before_influencer() -> None:
    assert decide(routes(sensitive=0.4, influencer=0.5), intents(), FACTS, POLICY).queue == "sensitive"


@pytest.mark.parametrize(
    ("facts", "scores"),
    [(replace(FACTS, vip=True), SURE), (FACTS, routes(simple=0.5, sensitive=0.4))],
)
def test_a_cut_post_that_is_decided_anyway_goes_where_it_was_going(facts: Facts, scores: dict[Route, float]) -> None:
    decision = decide(scores, intents(), replace(facts, truncated=True), POLICY)
    assert decision.action == "specialist"
    assert "too_long" not in codes(decision)


def test_a_simple_post_under_its_threshold_abstains_and_says_by_how_much() -> None:
    decision = decide(routes(simple=0.89, complex=0.1), intents(), FACTS, POLICY)
    assert (decision.action, decision.queue, decision.abstained) == ("agent", "agents", True)
    assert decision.reasons == (Reason("simple_under_threshold", "simple 0.890 < 0.900"),)


def test_an_unsure_intent_abstains() -> None:
    decision = decide(SURE, intents("praise", 0.49), FACTS, POLICY)
    assert (decision.action, decision.abstained) == ("agent", True)
    assert decision.reasons == (Reason("intent_under_threshold", "praise 0.490 < 0.500"),)


def test_an_unsure_post_that_asks_for_nothing_is_not_closed_either() -> None:
    assert decide(SURE, intents("not_service", 0.49), FACTS, POLICY).action == "agent"


def test_every_reason_to_abstain_is_listed() -> None:
    policy = Policy(thresholds=THRESHOLDS.model_copy(update={"answer_nothing": True}), inventory=())
    decision = decide(routes(simple=0.6, complex=0.35), intents("how_to", 0.4), FACTS, policy)
    assert decision.reasons == (
        Reason("nothing_certified", "no threshold is proven safe, so nothing is answered"),
        Reason("simple_under_threshold", "simple 0.600 < 0.900"),
        Reason("intent_under_threshold", "how_to 0.400 < 0.500"),
        Reason("no_template", "no approved answer in date for how_to on x"),
    )


def test_a_policy_as_it_is_born_answers_nothing_however_sure_the_score() -> None:
    certain = dict.fromkeys(ROUTES, 0.0) | {"simple": 1.0}
    decision = decide(certain, intents(confidence=1.0), FACTS, Policy())
    assert decision.action == "agent"
    assert codes(decision) == ["nothing_certified"]


def test_a_complex_post_goes_to_an_agent_without_abstaining() -> None:
    decision = decide(routes(simple=0.3, complex=0.65), intents(), FACTS, POLICY)
    assert (decision.action, decision.queue, decision.abstained) == ("agent", "agents", False)
    assert decision.reasons == (Reason("route_complex", "complex 0.650 is the most likely route"),)


@pytest.mark.parametrize(
    "template",
    [
        Template(intent="order_status", approved=True),
        Template(intent="order_status", approved=True, platform="x", lang="en", valid_until=TODAY),
    ],
)
def test_an_approved_template_in_date_lets_the_answer_out(template: Template) -> None:
    policy = POLICY.model_copy(update={"inventory": (template,)})
    assert decide(SURE, intents(), FACTS, policy).action == "auto_answer"


@pytest.mark.parametrize(
    "template",
    [
        Template(intent="order_status"),
        Template(intent="how_to", approved=True),
        Template(intent="order_status", approved=True, platform="facebook"),
        Template(intent="order_status", approved=True, lang="fr"),
        Template(intent="order_status", approved=True, valid_until=TODAY - timedelta(days=1)),
    ],
    ids=["not approved", "another intent", "another platform", "another language", "out of date"],
)
def test_a_template_that_does_not_fit_keeps_the_answer_back(template: Template) -> None:
    policy = POLICY.model_copy(update={"inventory": (template,)})
    decision = decide(SURE, intents(), FACTS, policy)
    assert (decision.action, decision.abstained) == ("agent", True)
    assert decision.reasons == (Reason("no_template", "no approved answer in date for order_status on x"),)


def test_no_template_is_needed_to_leave_a_post_without_a_reply() -> None:
    policy = POLICY.model_copy(update={"inventory": ()})
    assert decide(SURE, intents("not_service"), FACTS, policy).action == "no_reply"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_route_score_that_is_no_number_goes_to_an_agent(route: Route, value: float) -> None:
    decision = decide(SURE | {route: value}, intents(), FACTS, POLICY)
    assert (decision.action, decision.queue) == ("agent", "agents")
    assert decision.reasons[0] == Reason("no_score", "the model gave something that is not a number")


def test_an_intent_score_that_is_no_number_goes_to_an_agent() -> None:
    decision = decide(SURE, intents() | {"order_status": math.nan}, FACTS, POLICY)
    assert (decision.action, codes(decision)) == ("agent", ["no_score"])


def test_thresholds_are_probabilities() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Thresholds(simple=90)


def test_a_policy_with_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="simpel"):
        Thresholds.model_validate({"simpel": 0.9})


def _softened(weights: Sequence[float]) -> list[float]:
    return [weight / math.fsum(weights) for weight in weights]


probabilities_of = st.floats(0.001, 1.0)
route_scores = st.lists(probabilities_of, min_size=4, max_size=4).map(
    lambda weights: dict(zip(ROUTES, _softened(weights), strict=True))
)
simple_scores = st.floats(0.85, 1.0).map(lambda simple: routes(simple=simple))
"""Scores from which the policy may close a post; drawn from all scores alone, it hardly ever would."""
intent_scores = st.builds(intents, st.sampled_from(BUILT_IN.names), st.floats(0.3, 1.0))
any_facts = st.builds(
    Facts,
    platform=st.sampled_from(PLATFORMS),
    lang=st.sampled_from([None, "en", "de"]),
    supported_language=st.booleans(),
    readable=st.booleans(),
    truncated=st.booleans(),
    exposed=st.sampled_from([(), ("card",), ("email", "phone")]),
    authority=st.sampled_from([None, "an authority is tagged"]),
    followers=st.none() | st.integers(0, 100_000),
    reposts=st.none() | st.integers(0, 1_000),
    vip=st.booleans(),
    today=st.just(TODAY),
)
thresholds = st.builds(
    Thresholds,
    simple=st.floats(0, 1),
    intent=st.floats(0, 1),
    sensitive=st.floats(0, 1),
    influencer=st.floats(0, 1),
    answer_nothing=st.booleans(),
)
templates = st.builds(
    Template,
    intent=st.sampled_from(BUILT_IN.names),
    platform=st.none() | st.sampled_from(PLATFORMS),
    lang=st.sampled_from([None, "en", "de"]),
    approved=st.booleans(),
    valid_until=st.sampled_from([None, TODAY, TODAY - timedelta(days=1)]),
)
policies = st.builds(Policy, thresholds=thresholds, inventory=st.none() | st.lists(templates, max_size=3).map(tuple))


@given(
    scores=route_scores | simple_scores,
    needs=intent_scores,
    facts=any_facts | st.just(FACTS),
    policy=policies,
    name=st.sampled_from(["simple", "intent", "sensitive", "influencer"]),
    share=st.floats(0, 1),
)
def test_a_stricter_threshold_never_closes_a_post_that_a_looser_one_left_open(
    scores: dict[Route, float], needs: dict[Intent, float], facts: Facts, policy: Policy, name: str, share: float
) -> None:
    was = getattr(policy.thresholds, name)
    stricter = was + (1.0 - was) * share if name in ("simple", "intent") else was * (1.0 - share)
    strict = policy.model_copy(update={"thresholds": policy.thresholds.model_copy(update={name: min(1.0, stricter)})})
    before, after = decide(scores, needs, facts, policy), decide(scores, needs, facts, strict)
    if after.closed_by_machine:
        assert before.closed_by_machine
        assert before.action == after.action


@given(scores=route_scores | simple_scores, needs=intent_scores, facts=any_facts, policy=policies)
def test_a_post_is_closed_only_where_nothing_at_all_speaks_against_it(
    scores: dict[Route, float], needs: dict[Intent, float], facts: Facts, policy: Policy
) -> None:
    decision = decide(scores, needs, facts, policy)
    doubt = (
        not facts.supported_language
        or not facts.readable
        or facts.truncated
        or facts.exposed
        or facts.authority
        or facts.vip
        or (facts.followers or 0) >= policy.guards.followers
        or (facts.reposts or 0) >= policy.guards.reposts
        or scores["sensitive"] >= policy.thresholds.sensitive
        or scores["influencer"] >= policy.thresholds.influencer
        or scores["simple"] < policy.thresholds.simple
        or max(needs.values()) < policy.thresholds.intent
        or policy.thresholds.answer_nothing
    )
    if doubt:
        assert not decision.closed_by_machine
    elif policy.inventory is None:
        assert decision.closed_by_machine


@given(scores=route_scores | simple_scores, needs=intent_scores, facts=any_facts, policy=policies)
def test_every_decision_says_why_and_abstains_exactly_where_a_simple_label_stays_open(
    scores: dict[Route, float], needs: dict[Intent, float], facts: Facts, policy: Policy
) -> None:
    decision = decide(scores, needs, facts, policy)
    assert decision.reasons
    assert all(reason.detail for reason in decision.reasons)
    label = max(scores, key=lambda name: scores[name])
    assert decision.abstained == (label == "simple" and not decision.closed_by_machine)
    assert decision.move_to_private == bool(facts.exposed)


@given(scores=route_scores | simple_scores, needs=intent_scores, facts=any_facts, policy=policies)
def test_a_fact_that_speaks_against_an_answer_never_brings_one(
    scores: dict[Route, float], needs: dict[Intent, float], facts: Facts, policy: Policy
) -> None:
    worse = (
        replace(facts, supported_language=False),
        replace(facts, readable=False),
        replace(facts, truncated=True),
        replace(facts, exposed=("card",)),
        replace(facts, authority="an authority is tagged"),
        replace(facts, followers=10**9),
        replace(facts, reposts=10**9),
        replace(facts, vip=True),
    )
    assert not any(decide(scores, needs, fact, policy).closed_by_machine for fact in worse)


@pytest.mark.parametrize(
    ("label", "minutes"), [("simple", 60), ("complex", 2_880), ("sensitive", 2_880), ("influencer", 2_880)]
)
def test_a_basic_query_is_due_in_an_hour_and_any_other_in_two_days(label: Route, minutes: int) -> None:
    posted = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    times = due(posted, label, Promise())
    assert times.acknowledge_by == posted + timedelta(minutes=15)
    assert times.resolve_by == posted + timedelta(minutes=minutes)


def test_the_times_of_the_promise_are_the_policys() -> None:
    posted = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    promise = Promise(acknowledge_minutes=5, resolve_basic_minutes=30, resolve_other_minutes=90)
    assert due(posted, "simple", promise).acknowledge_by == posted + timedelta(minutes=5)
    assert due(posted, "simple", promise).resolve_by == posted + timedelta(minutes=30)
    assert due(posted, "complex", promise).resolve_by == posted + timedelta(minutes=90)
