"""What an INT8 graph must hold against the fp32 graph of the same weights before it may serve."""

from dataclasses import dataclass

from data.taxonomy import ROUTES
from evaluation.metrics import macro_f1
from evaluation.predictions import Predictions
from evaluation.risk import augrc
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
    certified: bool
    reference_certified: bool
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True where no gate failed."""
        return not self.failures


def _macro_f1(predictions: Predictions) -> float:
    return macro_f1(predictions.routes, predictions.predicted_routes, ROUTES)


def _augrc(predictions: Predictions) -> float:
    return augrc(predictions.route_probabilities.max(axis=1), predictions.predicted_routes != predictions.routes)


def compare(reference: Candidate, candidate: Candidate, gates: Gates) -> Comparison:
    """How `candidate` (INT8) stands against `reference` (fp32), and which gates it fails, in words."""
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
    if reference.fitted.certified and not candidate.fitted.certified:
        failures.append("the leak that fp32 certifies is not certified")
    return Comparison(
        macro_f1=_macro_f1(ours),
        macro_f1_loss_points=f1_loss,
        augrc=_augrc(ours),
        augrc_loss_points=augrc_loss,
        route_flips_share=flips,
        intent_flips_share=float((ours.predicted_intents != theirs.predicted_intents).mean()),
        certified=candidate.fitted.certified,
        reference_certified=reference.fitted.certified,
        failures=tuple(failures),
    )
