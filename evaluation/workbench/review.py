"""What people read next, and how much of it: the size of the random sample, the draw, and the order of the queue.

A bound on the share of wrong automatic answers can come from random reading alone. So the draw is kept apart from all
other reasons to read a post: an automatic answer is drawn or not by a number that its id and a secret word alone
decide, the same at every call, on every machine and in every tab. Each is drawn independently, with the chance that
is set; what `models.promise` needs is therefore known for every answer, read or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from evaluation.certificates import trials_without, upper_bound
from evaluation.selection import Chosen, Reason
from models.promise import lot_of

Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class Sizing:
    """What random reading shows by now, and how much more it takes.

    `bound` is the share (0 to 1) of wrong automatic answers that is shown; `more` answers without an error would show
    the share that is wanted, `None` where no million would. `words` says so.
    """

    bound: float
    more: int | None
    words: str


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def size_sample(wrong: int, read: int, *, wanted: float, confidence: float = 0.95) -> Sizing:
    """How many more random automatic answers to read to show that under a share `wanted` of them is wrong.

    Exact binomial (Clopper & Pearson 1934), for one look after reading that number: fix it, read on, then look. To look
    after every answer use `evaluation.workbench.monitor.risk_sequence`, whose intervals allow that.

    Raises:
        ValueError: when the counts or shares make no sense.
    """
    if not (0 <= wrong <= read and 0 < wanted < 1 and 0 < confidence < 1):
        raise ValueError(
            f"No sample was sized: got {wrong} wrong of {read} read, a wanted share of {wanted} and a confidence of "
            f"{confidence}. Wanted: 0 <= wrong <= read, and shares over 0 and under 1. Correct them."
        )
    bound = upper_bound(wrong, read, confidence)
    more = trials_without(wrong, read, wanted, confidence)
    shown = f"{wrong} of {read} wrong shows under {_percent(bound)} with {100 * confidence:g} % confidence"
    if more is None:
        words = f"{shown}; no number that can be read would show under {_percent(wanted)}"
    elif more:
        words = f"{shown}; read {more} more without an error to show under {_percent(wanted)}"
    else:
        words = f"{shown}: under {_percent(wanted)} is shown"
    return Sizing(bound, more, words)


def chance_to_draw(reads: int, answers: int) -> float:
    """The chance at which `reads` of so many automatic answers are expected to be drawn, 0 to 1."""
    return min(1.0, reads / answers) if answers else 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A post that may be read. `margin` (0 to 1): how far the likeliest route is ahead of the next.

    `disagreement`: how far a shadow model is from it (total variation, 0 to 1), 0 where it gives the same route.
    """

    prediction_id: str
    automatic: bool
    abstained: bool
    margin: float
    disagreement: float = 0.0
    spike: bool = False


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of the queue each reason gets, in proportion. Nothing measured stands behind the defaults: the random
    share is the largest because it alone bounds the risk.

    Raises:
        ValueError: when one is negative or none is over 0.
    """

    random: float = 0.4
    disagreement: float = 0.2
    spike: float = 0.2
    abstained: float = 0.1
    uncertain: float = 0.1

    def __post_init__(self) -> None:
        shares = asdict(self)
        if min(shares.values()) < 0 or not 0 < sum(shares.values()) < float("inf"):
            raise ValueError(
                f"No queue was made: the shares of its reasons are {shares}. Wanted: none under 0 and one over 0. "
                "Correct them."
            )


def _by_reason(candidates: Sequence[Candidate], chance: float, secret: str) -> dict[Reason, list[Chosen]]:
    """Every candidate under the first reason that it has, each reason in the order in which to read it."""
    found: dict[Reason, list[tuple[float, int]]] = {
        "random": [],
        "disagreement": [],
        "spike": [],
        "abstained": [],
        "uncertain": [],
    }
    for place, each in enumerate(candidates):
        lot = lot_of(each.prediction_id, secret)
        if each.automatic and lot < chance:
            found["random"].append((lot, place))
        elif each.disagreement > 0:
            found["disagreement"].append((-each.disagreement, place))
        elif each.spike:
            found["spike"].append((0.0, place))
        elif each.abstained:
            found["abstained"].append((-each.margin, place))
        else:
            found["uncertain"].append((each.margin, place))
    return {
        reason: [Chosen(place, reason, chance if reason == "random" else None) for _, place in sorted(members)]
        for reason, members in found.items()
    }


def arrange(
    candidates: Sequence[Candidate], size: int, *, chance: float, secret: str, mix: Mix = Mix()
) -> list[Chosen]:
    """At most `size` of the candidates, by their places, in the order in which to read them.

    A post stands under the first reason that it has: drawn at random (automatic answers alone, with `chance` from
    `chance_to_draw`), the shadow model disagrees (the farthest first), a spike (in the order given), abstained though
    it looked simple (the surest first: there the policy may be too strict), uncertain (the least sure first; all the
    rest). Any beginning of the queue holds the reasons in the proportion of `mix`, to within one post each, as long as
    none has run out. The random ones stand in the order of their lots, so that those read so far are a random sample
    whenever the reader stops.
    """
    return by_turns(_by_reason(candidates, chance, secret), mix)[:size]


def by_turns(members: Mapping[Reason, Sequence[Member]], mix: Mix = Mix()) -> list[Member]:
    """All members in one order, any beginning of which holds the reasons in the proportion of `mix`.

    To within one each, as long as none has run out; those of a reason stay in their order.
    """
    weights = asdict(mix)
    turns = [
        ((number + 0.5) / weights[reason], place, member)
        for place, (reason, each) in enumerate(members.items())
        if weights[reason] > 0
        for number, member in enumerate(each)
    ]
    return [member for _, _, member in sorted(turns, key=lambda turn: turn[:2])]
