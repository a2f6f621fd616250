"""What an INT8 graph must hold against the fp32 graph of the same weights before it may serve.

All of it on the development split, the leak too: a graph chosen by what the calibration split proves for it would be
tested twice on the same posts, and the proof would be worth less than it says.
"""

from dataclasses import dataclass

from data.taxonomy import ROUTES
from evaluation.certificates import certify
from evaluation.metrics import macro_f1
from evaluation.predictions import Predictions
from evaluation.risk import augrc
from evaluation.thresholds import choose_path
from training.candidates import Candidate
from training.recipe import Gates

_POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """INT8 against fp32 on the development split; losses in points (per cent), positive is worse."""

    macro_f1: float
    macro_f1_loss_points: float
    augrc: float
    augrc_loss_points: float
    route_flips_share: float
    intent_flips_share: float
    leak_bound: float
    reference_leak_bound: float
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True where no gate failed."""
        return not self.failures


def _macro_f1(predictions: Predictions) -> float:
    return macro_f1(predictions.routes, predictions.predicted_routes, ROUTES)


def _augrc(predictions: Predictions) -> float:
    return augrc(predictions.route_probabilities.max(axis=1), predictions.predicted_routes != predictions.routes)


def _leak_bound(candidate: Candidate, calibration_posts: int) -> float:
    """The upper bound of the leak of sensitive posts where the candidate's path of thresholds starts."""
    base = candidate.bundle.policy
    start = choose_path(candidate.development, calibration_posts, base)[0]
    certificates = certify(base.model_copy(update={"thresholds": start}), candidate.development)
    return next(each.upper_bound for each in certificates if each.risk == "leak_sensitive")


def compare(reference: Candidate, candidate: Candidate, gates: Gates, *, calibration_posts: int) -> Comparison:
    """How `candidate` (INT8) stands against `reference` (fp32), and which gates it fails, in words.

    Of the calibration split only its size is known here.
    """
    ours, theirs = candidate.development, reference.development
    f1_loss = (_macro_f1(theirs) - _macro_f1(ours)) * _POINTS
    augrc_loss = (_augrc(ours) - _augrc(theirs)) * _POINTS
    flips = float((ours.predicted_routes != theirs.predicted_routes).mean())
    failures = []
    if f1_loss > gates.max_macro_f1_loss_points:
        failures.append(f"macro-F1 fell by {f1_loss:.2f} points, allowed are {gates.max_macro_f1_loss_points}")
    if augrc_loss > gates.max_augrc_loss_points:
        failures.append(f"AUGRC rose by {augrc_loss:.2f} points, allowed are {gates.max_augrc_loss_points}")
    if flips > gates.max_route_flips_share:
        failures.append(f"{flips:.2%} of the routes flipped, allowed are {gates.max_route_flips_share:.2%}")
    ours_leak, theirs_leak = (_leak_bound(each, calibration_posts) for each in (candidate, reference))
    if ours_leak > theirs_leak:
        failures.append(f"the bound on the leak rose from {theirs_leak:.2%} to {ours_leak:.2%}, allowed is no rise")
    return Comparison(
        macro_f1=_macro_f1(ours),
        macro_f1_loss_points=f1_loss,
        augrc=_augrc(ours),
        augrc_loss_points=augrc_loss,
        route_flips_share=flips,
        intent_flips_share=float((ours.predicted_intents != theirs.predicted_intents).mean()),
        leak_bound=ours_leak,
        reference_leak_bound=theirs_leak,
        failures=tuple(failures),
    )
