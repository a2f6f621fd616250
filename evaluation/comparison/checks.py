"""The checks of the gate: what was measured, what is allowed, and the verdict in words. Owns the rules of passing.

Two kinds. *Not shown to be no worse* refuses: the end of the interval has to be within the margin. *Shown to be worse*
refuses too, for what few posts can prove (slices, McNemar, calibration error).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from data.taxonomy import ROUTES
from evaluation.behaviour.suite import Result
from evaluation.certificates import RISKS, all_certified, budget_of, certify, explain
from evaluation.comparison.paired import (
    Difference,
    augrc_difference,
    brier_difference,
    harm,
    holm,
    label_difference,
    mcnemar,
    mean_difference,
)
from evaluation.comparison.settings import Gate
from evaluation.comparison.sides import Pair
from evaluation.metrics import bootstrap, equal_mass_places
from evaluation.predictions import Predictions
from evaluation.slices import SMALL_SLICE_POSTS, rows_of_slices
from models.policy import RiskBudget


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate. `passed` is `None` where it could not be asked; then it stops nothing.

    `champion`, `challenger`, `value` (the difference or ratio), `low` and `high` are `None` where a check is no figure;
    `limit` is what `value` may come to, with its sign.
    """

    name: str
    passed: bool | None
    words: str
    champion: float | None = None
    challenger: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None


def _more_groups(half: float, room: float, groups: int) -> str:
    """What would show it: the groups at which the interval is as narrow as the room that the difference leaves."""
    if room <= 0:
        return "the difference itself is over the margin"
    return f"about {ceil(groups * (half / room) ** 2) - groups:,} more groups of posts would show it at this difference"


def no_worse(
    name: str, what: str, found: Difference, margin: float, groups: int, *, lower_is_better: bool = False
) -> Check:
    """Whether the worst case that the posts leave open is within the margin."""
    worst = found.high if lower_is_better else -found.low
    loss = found.value if lower_is_better else -found.value
    moved = f"{what} {found.champion:.4f} -> {found.challenger:.4f}"
    moved += f", {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    passed = worst <= margin
    remedy = "" if passed else f": not shown to be no worse; {_more_groups(worst - loss, margin - loss, groups)}"
    way = "rise" if lower_is_better else "fall"
    return Check(
        name=name,
        passed=passed,
        words=f"{moved}; it may {way} by {margin:g}{remedy}",
        champion=found.champion,
        challenger=found.challenger,
        value=found.value,
        low=found.low,
        high=found.high,
        limit=margin if lower_is_better else -margin,
    )


def _labels(pair: Pair, gate: Gate, groups: int) -> Iterator[Check]:
    theirs, ours = pair.champion.predictions, pair.challenger.predictions
    said = (ours.routes, theirs.predicted_routes, ours.predicted_routes)
    for name, what, margin in (
        ("accuracy", "route accuracy", gate.max_accuracy_loss),
        ("macro_f1", "route macro-F1", gate.max_macro_f1_loss),
    ):
        found = label_difference(*said, len(ROUTES), ours.groups, macro=name == "macro_f1")
        yield no_worse(name, what, found, margin, groups)
    tested = mcnemar(pair.champion.right, pair.challenger.right)
    worse = tested.broken > tested.mended and tested.p_value <= gate.significance
    words = f"{tested.mended} routes mended, {tested.broken} broken, exact McNemar p = {tested.p_value:.3f}"
    yield Check("mcnemar", not worse, words + (": the challenger is shown to be worse" if worse else ""))
    if not pair.same_intents:
        words = (
            f"not compared: the champion has {len(pair.champion.intents)} intents, the challenger "
            f"{len(pair.challenger.intents)} others; routes alone are compared"
        )
        yield Check("intent_accuracy", None, words)
        return
    right = [each.predicted_intents == each.intents for each in (theirs, ours)]
    found = mean_difference(right[0], right[1], ours.groups)
    yield no_worse("intent_accuracy", "intent accuracy", found, gate.max_intent_accuracy_loss, groups)


def calibration_error(predictions: Predictions) -> tuple[float, float, float]:
    """ECE of the routes over 15 bins of equal mass, and between what ends the true one lies (bins as in the sample).

    Chance alone makes a sum of absolute values greater, so its quantiles over draws say little. But the true one
    differs from it by no more than the sum of what chance does to the bins (triangle inequality), and that is drawn.
    """
    confidence = predictions.route_probabilities.max(axis=1)
    right = predictions.predicted_routes == predictions.routes
    places = equal_mass_places(confidence)
    counts = np.zeros((len(predictions), int(places.max()) + 2))
    counts[np.arange(len(predictions)), places] = confidence - right
    counts[:, -1] = 1.0
    found = counts[:, :-1].mean(axis=0)
    _, chance = bootstrap(
        counts, predictions.groups, lambda totals: np.abs(totals[:, :-1] / totals[:, -1:] - found).sum(axis=1)
    )
    value = float(np.abs(found).sum())
    return value, max(0.0, value - float(chance)), value + float(chance)


def _confidence(pair: Pair, gate: Gate, groups: int) -> Iterator[Check]:
    theirs, ours = pair.champion.predictions, pair.challenger.predictions
    found = augrc_difference(theirs, ours)
    yield no_worse("augrc", "AUGRC", found, gate.max_augrc_rise, groups, lower_is_better=True)
    found = brier_difference(theirs.route_probabilities, ours.route_probabilities, ours.routes, ours.groups)
    yield no_worse("brier", "Brier score", found, gate.max_brier_rise, groups, lower_is_better=True)
    (was, _, _), (value, low, high) = calibration_error(theirs), calibration_error(ours)
    passed = low <= gate.max_calibration_error
    words = f"ECE {was:.4f} -> {value:.4f} ({low:.4f} to {high:.4f}); allowed is {gate.max_calibration_error:g}"
    words += "" if passed else ": shown to be over it"
    yield Check("calibration", passed, words, was, value, value, low, high, gate.max_calibration_error)


def strictest(one: RiskBudget, other: RiskBudget) -> RiskBudget:
    """The smaller share and the greater confidence of two budgets: no challenger loosens its own gate."""
    shares = {risk: min(budget_of(one, risk), budget_of(other, risk)) for risk in RISKS}
    return RiskBudget.model_validate(shares | {"confidence": max(one.confidence, other.confidence)})


def _decisions(pair: Pair, gate: Gate, groups: int) -> Iterator[Check]:
    side, theirs = pair.challenger, pair.champion
    found = mean_difference(theirs.closed, side.closed, side.predictions.groups)
    yield no_worse("automatic_share", "share closed by the machine", found, gate.max_automatic_share_loss, groups)
    if side.policy.thresholds.answer_nothing:
        yield Check("leak", True, "the challenger answers nothing, so nothing can leak")
        return
    budget = strictest(theirs.policy.budget, side.policy.budget)
    proofs = certify(side.policy.model_copy(update={"budget": budget}), side.predictions)
    yield Check("leak", all_certified(proofs), "; ".join(map(explain, proofs)))


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One part of the posts: accuracy of both, and how sure it is that the challenger is worse there (Holm)."""

    dimension: str
    name: str
    posts: int
    champion: float
    challenger: float
    p_value: float


def slice_changes(pair: Pair) -> tuple[SliceChange, ...]:
    """All slices of 30 posts or more, the greatest loss first."""
    right, was_right = pair.challenger.right, pair.champion.right
    parts = [
        (dimension, name, rows)
        for (dimension, name), rows in rows_of_slices(pair.challenger.predictions.posts).items()
        if len(rows) >= SMALL_SLICE_POSTS
    ]
    adjusted = holm([harm(was_right[rows], right[rows]) for _, _, rows in parts])
    changes = [
        SliceChange(dimension, name, len(rows), float(was_right[rows].mean()), float(right[rows].mean()), p)
        for (dimension, name, rows), p in zip(parts, adjusted, strict=True)
    ]
    return tuple(sorted(changes, key=lambda each: (each.challenger - each.champion, each.dimension, each.name)))


def _slices(changes: tuple[SliceChange, ...], gate: Gate) -> Check:
    if not changes:
        return Check("slices", None, f"not compared: no slice has {SMALL_SLICE_POSTS} posts")
    worst = changes[0]
    worse = [each for each in changes if each.p_value <= gate.significance]
    words = (
        f"the worst of {len(changes)} slices is {worst.dimension}: {worst.name} ({worst.posts} posts), accuracy "
        f"{worst.champion:.3f} -> {worst.challenger:.3f}, p = {worst.p_value:.3f} (exact, Holm)"
    )
    if worse:
        words += "; shown to be worse on " + ", ".join(f"{each.dimension}: {each.name}" for each in worse)
    return Check("slices", not worse, words, worst.champion, worst.challenger, worst.challenger - worst.champion)


def _latency(pair: Pair, gate: Gate) -> Check:
    took = pair.latency
    passed = took.high <= gate.max_latency_ratio
    words = (
        f"a post takes {took.champion_ms:.2f} -> {took.challenger_ms:.2f} ms, ratio {took.ratio:.3f} "
        f"({took.low:.3f} to {took.high:.3f}) over {took.posts} posts in turns; allowed is {gate.max_latency_ratio:g}"
    )
    return Check(
        name="latency",
        passed=passed,
        words=words,
        champion=took.champion_ms,
        challenger=took.challenger_ms,
        value=took.ratio,
        low=took.low,
        high=took.high,
        limit=gate.max_latency_ratio,
    )


def _holds(theirs: Result, ours: Result) -> bool:
    """Within the limit or, where the limit leaves room at all, no worse than the champion, which failed it already."""
    return ours.passed or (ours.limit > 0 and bool(ours.cases) and len(ours.failed) <= len(theirs.failed))


def _behaviour(pair: Pair) -> Check:
    pairs = list(zip(pair.champion.behaviour, pair.challenger.behaviour, strict=True))
    failed = [(theirs, ours) for theirs, ours in pairs if not _holds(theirs, ours)]
    kept = [ours.capability for theirs, ours in pairs if not ours.passed and _holds(theirs, ours)]
    words = f"{len(pairs) - len(failed)} of {len(pairs)} capabilities hold"
    if kept:
        words += f"; over the limit, but no worse than the champion: {', '.join(kept)}"
    for theirs, ours in failed:
        words += (
            f"; {ours.capability} fails {len(ours.failed)} of {ours.cases} cases, allowed are {100 * ours.limit:g} % "
            f"(champion: {len(theirs.failed)})"
        )
    return Check("behaviour", not failed, words)


def run_checks(pair: Pair, changes: tuple[SliceChange, ...], gate: Gate, seen: str | None) -> tuple[Check, ...]:
    """All checks in the order in which a person asks; `seen` says why the posts are not fair, `None` where they are."""
    groups = len(np.unique(pair.challenger.predictions.groups))
    return (
        Check("unseen", seen is None, seen or "nothing says that the posts took part in making either bundle"),
        *_decisions(pair, gate, groups),
        *_labels(pair, gate, groups),
        *_confidence(pair, gate, groups),
        _slices(changes, gate),
        _behaviour(pair),
        _latency(pair, gate),
    )
