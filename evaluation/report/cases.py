"""One labelled post as people read it in the report: redacted text, both labels, decision. Owns the order of errors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from data.post import LabelledPost
from data.redaction import redact
from data.spreadsheet import guarded
from data.taxonomy import ROUTES
from evaluation.certificates import LEAKS
from evaluation.closings import wrongly_closed
from evaluation.predictions import Predictions
from models.policy import Decision, Policy

Kind = Literal["leak", "wrong_closing", "wrong_route", "wrong_intent", "right"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a case is, the worst first: a leak, another wrong closing by the machine, a wrong route, a wrong intent."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Case:
    """A post with what was said of it. Texts are redacted; probabilities are rounded to four digits.

    `confidence` is that of the wrong label where one is wrong, of the route otherwise; `route_probabilities` stand in
    the order of `ROUTES`.
    """

    id: str
    kind: Kind
    confidence: float
    text: str
    platform: str
    lang: str
    followers: int | None
    reposts: int | None
    bio: str | None
    in_reply_to: str | None
    true_route: str
    predicted_route: str
    true_intent: str
    predicted_intent: str
    route_probabilities: tuple[float, ...]
    intent_probability: float
    action: str
    queue: str
    abstained: bool
    reasons: tuple[str, ...]


def _redacted(text: str | None, post: LabelledPost) -> str | None:
    return None if text is None else redact(text, post.lang)


def _kinds(predictions: Predictions, closed: list[bool], wrong: list[bool]) -> list[Kind]:
    leak_routes = [ROUTES.index(route) for route in LEAKS.values()]
    is_leak = np.array(closed, dtype=np.bool_) & np.isin(predictions.routes, leak_routes)
    conditions = (is_leak, wrong, predictions.predicted_routes != predictions.routes)
    names = np.select(
        [*conditions, predictions.predicted_intents != predictions.intents],
        np.arange(len(KINDS) - 1).tolist(),
        len(KINDS) - 1,
    )
    return [KINDS[place] for place in names]


def _case(predictions: Predictions, row: int, decision: Decision, kind: Kind) -> Case:
    post = predictions.posts[row]
    routes, intents = predictions.route_probabilities[row], predictions.intent_probabilities[row]
    predicted, intent = ROUTES[int(routes.argmax())], round(float(intents.max()), _DIGITS)
    is_other_need = predicted == post.route and kind in ("wrong_closing", "wrong_intent")
    return Case(
        id=post.id,
        kind=kind,
        confidence=intent if is_other_need else round(float(routes.max()), _DIGITS),
        text=redact(post.text, post.lang),
        platform=post.platform,
        lang=post.lang,
        followers=post.followers,
        reposts=post.reposts,
        bio=_redacted(post.author.bio if post.author else None, post),
        in_reply_to=_redacted(post.in_reply_to, post),
        true_route=post.route,
        predicted_route=predicted,
        true_intent=post.intent,
        predicted_intent=predictions.taxonomy.names[int(intents.argmax())],
        route_probabilities=tuple(routes.round(_DIGITS).tolist()),
        intent_probability=intent,
        action=decision.action,
        queue=decision.queue,
        abstained=decision.abstained,
        reasons=tuple(f"{reason.code}: {reason.detail}" for reason in decision.reasons),
    )


def cases_of(predictions: Predictions, policy: Policy) -> tuple[Case, ...]:
    """Every post as a case, in the order of the predictions."""
    decisions = predictions.decide(policy)
    wrong = wrongly_closed(predictions, decisions, policy).tolist()
    kinds = _kinds(predictions, [decision.closed_by_machine for decision in decisions], wrong)
    return tuple(
        _case(predictions, row, decision, kind)
        for row, (decision, kind) in enumerate(zip(decisions, kinds, strict=True))
    )


def worst_first(case: Case) -> tuple[int, float, str]:
    """What cases are sorted by: their kind, then how sure the model was of what is wrong."""
    return KINDS.index(case.kind), -case.confidence, case.id


def read_cases(predictions: Predictions, policy: Policy) -> tuple[Case, ...]:
    """Every post as a case, the worst first."""
    return tuple(sorted(cases_of(predictions, policy), key=worst_first))


def table_of(cases: Iterable[Case]) -> Iterator[list[object]]:
    """The cases as rows for a spreadsheet, the names of the columns first; no cell of theirs is run as a formula."""
    names = [field.name for field in fields(Case) if field.name not in ("route_probabilities", "reasons")]
    yield [*names, *(f"p_{route}" for route in ROUTES), "reasons"]
    for case in cases:
        values = [getattr(case, name) for name in names]
        yield [guarded(value) for value in (*values, *case.route_probabilities, "; ".join(case.reasons))]
