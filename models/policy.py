"""The decision: probabilities and facts in, what to do out. Pure; owns the rules of the design's section 4.

The first rule that fires sets the action; every rule that fires is listed as a reason. Nothing here reads a file,
a clock or a score that was not handed in. Any doubt ends as `agent`, never as `auto_answer`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.handles import Handles
from data.post import Count
from data.taxonomy import BUILT_IN, Intent, Platform, Route, Taxonomy

Action = Literal["auto_answer", "no_reply", "agent", "specialist"]
Queue = Literal["auto", "closed", "agents", "sensitive", "influencer", "privacy"]

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Value):
    """From which probability on a rule fires. The default answers nothing: only evaluation loosens it."""

    simple: Probability = 1.0
    intent: Probability = 1.0
    sensitive: Probability = 0.1
    influencer: Probability = 0.3
    answer_nothing: bool = True


class GuardLines(_Value):
    """The lines and lists of the deterministic guards. Followers and reposts: the labelling guide's lines.

    A line over any count that a post may have would be a guard that never fires, so there is none.
    """

    supported_languages: tuple[str, ...] = ("en",)
    min_language_confidence: Probability = 0.5
    min_contradiction_confidence: Probability = 0.9
    followers: Count = 50_000
    reposts: Count = 500
    vip_handles: tuple[str, ...] = ()
    extra_authority_handles: tuple[str, ...] = ()
    extra_press_handles: tuple[str, ...] = ()

    @property
    def handles(self) -> Handles:
        """The known authorities and press, with this policy's own."""
        return Handles(extra_authorities=self.extra_authority_handles, extra_press=self.extra_press_handles)


class Template(_Value):
    """An approved answer. `None` for platform or language means any."""

    intent: Intent
    platform: Platform | None = None
    lang: str | None = None
    approved: bool = False
    valid_until: date | None = None


class Promise(_Value):
    """By when a post is due, counted from `posted_at`."""

    acknowledge_minutes: Annotated[int, Field(gt=0)] = 15
    resolve_basic_minutes: Annotated[int, Field(gt=0)] = 60
    resolve_other_minutes: Annotated[int, Field(gt=0)] = 48 * 60


class RiskBudget(_Value):
    """What the thresholds must hold, each with `confidence`: shares between 0 and 1.

    `leak_sensitive` and `leak_influencer` are shares of the posts of that route that a machine closes;
    `wrong` is the share of the machine's own closings that it should not have made (`docs/decisions/0009`).
    """

    leak_sensitive: Probability = 0.02
    leak_influencer: Probability = 0.05
    wrong: Probability = 0.10
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95


class Certificate(_Value):
    """What was proven of one risk on the calibration split, or how many labels a proof still needs.

    `more_labels_needed` is `None` where no number of labels would do at the rate of events seen.
    """

    risk: str
    budget: Probability
    confidence: Probability
    events: Annotated[int, Field(ge=0)]
    trials: Annotated[int, Field(ge=0)]
    p_value: Probability
    upper_bound: Probability
    certified: bool
    more_labels_needed: Annotated[int, Field(ge=0)] | None = 0


class Policy(_Value):
    """A readable, versioned file: thresholds, guards, queues and promises, and what was proven of them."""

    version: str = "1"
    thresholds: Thresholds = Thresholds()
    guards: GuardLines = GuardLines()
    no_reply_intents: tuple[Intent, ...] = BUILT_IN.no_reply_intents
    inventory: tuple[Template, ...] | None = None
    promise: Promise = Promise()
    budget: RiskBudget = RiskBudget()
    certificates: tuple[Certificate, ...] = ()


class PolicyError(ValueError):
    """A policy that does not fit the model that it is to decide for."""


def check_intents(policy: Policy, taxonomy: Taxonomy) -> None:
    """Nothing; every intent that the policy names is one of the taxonomy.

    Raises:
        PolicyError: when one is not.
    """
    named = [("no_reply_intents", name) for name in policy.no_reply_intents]
    named += [(f"inventory.{place}.intent", each.intent) for place, each in enumerate(policy.inventory or ())]
    for field, name in named:
        if name not in taxonomy.intents:
            raise PolicyError(
                f"Policy {policy.version} does not fit: its {field} names {name!r}. Wanted {taxonomy.wanted}. "
                "Name intents of this taxonomy alone; no_reply_intents is [] where none is closed without a reply."
            )


def content_unanswered(policy: Policy, taxonomy: Taxonomy) -> frozenset[Intent]:
    """The intents that lose nothing by silence: a simple post of any other that is left without a reply is an error."""
    return frozenset((*policy.no_reply_intents, *taxonomy.needs_no_reply))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a post beside its probabilities: the guards' findings, and what the rules ask of the post."""

    platform: Platform = "other"
    lang: str | None = None
    supported_language: bool = True
    readable: bool = True
    truncated: bool = False
    exposed: tuple[str, ...] = ()
    authority: str | None = None
    followers: int | None = None
    reposts: int | None = None
    vip: bool = False
    today: date = date.min


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that fired: a stable code, and the same in words with the numbers compared."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a post, and why."""

    action: Action
    queue: Queue
    abstained: bool
    move_to_private: bool
    reasons: tuple[Reason, ...]

    @property
    def closed_by_machine(self) -> bool:
        """True where no person will read the post: answered or left without a reply."""
        return self.action in ("auto_answer", "no_reply")


def withheld(decision: Decision, reason: Reason, label: Route) -> Decision:
    """The decision without the machine: what it would have closed goes to an agent; any other is as it was.

    The reason stands first, since it set the action; `label` is the most probable route.
    """
    if not decision.closed_by_machine:
        return decision
    return Decision(
        action="agent",
        queue="agents",
        abstained=label == "simple",
        move_to_private=decision.move_to_private,
        reasons=(reason, *decision.reasons),
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    action: Action
    queue: Queue
    reason: Reason


def _cannot_judge(facts: Facts, *, scored: bool, undecided: bool) -> Iterator[_Rule]:
    if not scored:
        yield _Rule("agent", "agents", Reason("no_score", "the model gave something that is not a number"))
    if not facts.supported_language:
        yield _Rule("agent", "agents", Reason("language_not_supported", f"language {facts.lang or 'unknown'}"))
    if not facts.readable:
        yield _Rule("agent", "agents", Reason("nothing_readable", "no words are left without links and mentions"))
    if facts.truncated and undecided:
        yield _Rule("agent", "agents", Reason("too_long", "the post is longer than the model reads"))


def _guards(facts: Facts, lines: GuardLines) -> Iterator[_Rule]:
    if facts.exposed:
        yield _Rule("specialist", "privacy", Reason("personal_data_exposed", ", ".join(facts.exposed)))
    if facts.authority:
        yield _Rule("specialist", "sensitive", Reason("authority_named", facts.authority))
    if facts.followers is not None and facts.followers >= lines.followers:
        detail = f"followers {facts.followers} >= {lines.followers}"
        yield _Rule("specialist", "influencer", Reason("followers_over_line", detail))
    if facts.reposts is not None and facts.reposts >= lines.reposts:
        detail = f"reposts {facts.reposts} >= {lines.reposts}"
        yield _Rule("specialist", "influencer", Reason("reposts_over_line", detail))
    if facts.vip:
        yield _Rule("specialist", "influencer", Reason("vip_author", "the author is on the VIP list"))


def _compared(name: str, value: float, over: bool, threshold: float) -> str:
    return f"{name} {value:.3f} {'>=' if over else '<'} {threshold:.3f}"


def _routes(routes: Mapping[Route, float], thresholds: Thresholds) -> Iterator[_Rule]:
    named: tuple[tuple[Route, Queue, float], ...] = (
        ("sensitive", "sensitive", thresholds.sensitive),
        ("influencer", "influencer", thresholds.influencer),
    )
    for name, queue, threshold in named:
        if routes[name] >= threshold:
            detail = _compared(name, routes[name], True, threshold)
            yield _Rule("specialist", queue, Reason(f"{name}_over_threshold", detail))


def _has_template(policy: Policy, intent: Intent, facts: Facts) -> bool:
    return policy.inventory is None or any(
        template.intent == intent
        and template.approved
        and template.platform in (None, facts.platform)
        and template.lang in (None, facts.lang)
        and (template.valid_until is None or facts.today <= template.valid_until)
        for template in policy.inventory
    )


def _answer(simple: float, intent: Intent, intent_confidence: float, facts: Facts, policy: Policy) -> Iterator[_Rule]:
    thresholds = policy.thresholds
    if thresholds.answer_nothing or simple < thresholds.simple or intent_confidence < thresholds.intent:
        return
    detail = _compared("simple", simple, True, thresholds.simple)
    if intent in policy.no_reply_intents:
        yield _Rule("no_reply", "closed", Reason("no_reply_needed", f"{intent}, {detail}"))
    elif _has_template(policy, intent, facts):
        yield _Rule("auto_answer", "auto", Reason("simple_over_threshold", detail))


def _why_abstained(
    simple: float, intent: Intent, intent_confidence: float, facts: Facts, policy: Policy
) -> Iterator[Reason]:
    thresholds = policy.thresholds
    if thresholds.answer_nothing:
        yield Reason("nothing_certified", "no threshold is proven safe, so nothing is answered")
    if simple < thresholds.simple:
        yield Reason("simple_under_threshold", _compared("simple", simple, False, thresholds.simple))
    if intent_confidence < thresholds.intent:
        detail = _compared(intent, intent_confidence, False, thresholds.intent)
        yield Reason("intent_under_threshold", detail)
    if intent not in policy.no_reply_intents and not _has_template(policy, intent, facts):
        yield Reason("no_template", f"no approved answer in date for {intent} on {facts.platform}")


def decide(routes: Mapping[Route, float], intents: Mapping[Intent, float], facts: Facts, policy: Policy) -> Decision:
    """The decision for one post from its calibrated probabilities, its facts and the policy.

    `routes` and `intents` each sum to 1. Monotone: raising `thresholds.simple` or `.intent`, or lowering
    `.sensitive` or `.influencer`, never turns another action into one that closes the post.
    """
    label = max(routes, key=routes.__getitem__)
    intent = max(intents, key=intents.__getitem__)
    simple, intent_confidence = routes["simple"], intents[intent]

    guards, scores = list(_guards(facts, policy.guards)), list(_routes(routes, policy.thresholds))
    scored = all(map(math.isfinite, (*routes.values(), *intents.values())))
    rules = [*_cannot_judge(facts, scored=scored, undecided=not guards and not scores), *guards, *scores]
    rules += [] if rules else _answer(simple, intent, intent_confidence, facts, policy)
    reasons = tuple(rule.reason for rule in rules)
    if not rules and label == "simple":
        reasons = tuple(_why_abstained(simple, intent, intent_confidence, facts, policy))
    elif not rules:
        reasons = (Reason(f"route_{label}", f"{label} {routes[label]:.3f} is the most likely route"),)
    action, queue = (rules[0].action, rules[0].queue) if rules else ("agent", "agents")
    return Decision(
        action=action,
        queue=queue,
        abstained=label == "simple" and action not in ("auto_answer", "no_reply"),
        move_to_private=bool(facts.exposed),
        reasons=reasons,
    )


@dataclass(frozen=True, slots=True)
class Due:
    """By when a post is to be acknowledged and resolved."""

    acknowledge_by: datetime
    resolve_by: datetime


def due(posted_at: datetime, label: Route, promise: Promise) -> Due:
    """When a post of that route, posted at that time, is due; basic queries are those that look `simple`."""
    minutes = promise.resolve_basic_minutes if label == "simple" else promise.resolve_other_minutes
    return Due(
        acknowledge_by=posted_at + timedelta(minutes=promise.acknowledge_minutes),
        resolve_by=posted_at + timedelta(minutes=minutes),
    )
