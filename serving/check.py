"""What must hold for any bundle that may serve, whatever it learnt: run by `python -m serving check`.

Facts alone decide these posts, so their answers are known beforehand (golden) for every model; where a score decides,
only what no model may do is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from data.post import Author, Post, Reach
from models.predictor import Prediction, Predictor

Holds = Callable[[Prediction], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """One post and what must hold of its answer."""

    name: str
    post: Post
    wanted: str
    holds: Holds


def _has(action: str, code: str) -> Holds:
    return lambda prediction: (
        prediction.decision.action == action and code in {reason.code for reason in prediction.decision.reasons}
    )


def cases(predictor: Predictor) -> tuple[Case, ...]:
    """The cases for this predictor: those of the guards stand at the lines of its own policy.

    All but the last are too short for any language to be told, so they fit every policy.
    """
    lines = predictor.policy.guards
    return (
        Case(
            "personal data exposed",
            # The test number that card schemes publish: it passes the Luhn check and belongs to nobody.
            Post(text="refund? 4111 1111 1111 1111"),
            "specialist, personal_data_exposed",
            _has("specialist", "personal_data_exposed"),
        ),
        Case(
            "followers at the line",
            Post(text="parcel?", author=Author(followers=lines.followers)),
            "specialist, followers_over_line",
            _has("specialist", "followers_over_line"),
        ),
        Case(
            "reposts at the line",
            Post(text="parcel?", reach=Reach(reposts=lines.reposts)),
            "specialist, reposts_over_line",
            _has("specialist", "reposts_over_line"),
        ),
        Case(
            "an authority tagged",
            Post(text="no refund @Ofcom"),
            "specialist, authority_named",
            _has("specialist", "authority_named"),
        ),
        Case(
            "nothing to read",
            Post(text="https://example.com/a"),
            "agent, nothing_readable",
            _has("agent", "nothing_readable"),
        ),
        Case(
            "an injury",
            Post(text="your heater caught fire and burnt my daughter's hand, she was injured and is in hospital"),
            "a person",
            lambda found: not found.decision.closed_by_machine,
        ),
    )


def failures(predictor: Predictor) -> list[str]:
    """What does not hold for this predictor, in words; empty where all does."""
    checked = cases(predictor)
    together = predictor.predict([case.post for case in checked])
    problems = [
        f"{case.name}: wanted {case.wanted}; got {found.decision.action}, "
        f"{', '.join(reason.code for reason in found.decision.reasons)}"
        for case, found in zip(checked, together, strict=True)
        if not case.holds(found)
    ]
    for case, found in zip(checked, together, strict=True):
        if predictor.predict([case.post]) != [found]:
            problems.append(f"{case.name}: wanted the same answer alone and in a batch; got another one")
    return problems
