"""Every post that got worse: a leak, a wrong closing, or a route that was right and is wrong. For a person to read.

Texts are redacted. A post stands once, under the worst that happened to it; the worst kind stands first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from data.redaction import redact
from data.taxonomy import ROUTES
from evaluation.certificates import LEAKS
from evaluation.comparison.sides import Pair, Side

Kind = Literal["new_leak", "leak", "new_wrong_closing", "route"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""A leak of the challenger alone, one of both, a wrong closing of the challenger alone, a route from right to wrong."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Flip:
    """One post that the challenger does worse on, with what both said of it."""

    kind: Kind
    id: str
    text: str
    true_route: str
    champion_route: str
    champion_confidence: float
    champion_action: str
    challenger_route: str
    challenger_confidence: float
    challenger_action: str
    reasons: str


def _said(side: Side, row: int) -> tuple[str, float, str]:
    chances = side.predictions.route_probabilities[row]
    return ROUTES[int(chances.argmax())], round(float(chances.max()), _DIGITS), side.decisions[row].action


def _kinds(pair: Pair) -> Iterator[tuple[int, Kind]]:
    ours, theirs, wrong = pair.challenger.closed, pair.champion.closed, pair.wrongly_closed
    right, was_right = pair.challenger.right, pair.champion.right
    for row, post in enumerate(pair.challenger.predictions.posts):
        if ours[row] and post.route in LEAKS.values():
            yield row, "leak" if theirs[row] else "new_leak"
        elif wrong[row] and not theirs[row]:
            yield row, "new_wrong_closing"
        elif was_right[row] and not right[row]:
            yield row, "route"


def read_flips(pair: Pair) -> tuple[Flip, ...]:
    """All flips, the worst first: by kind, then by how sure the challenger is."""
    flips = []
    for row, kind in _kinds(pair):
        post = pair.challenger.predictions.posts[row]
        reasons = "; ".join(f"{each.code}: {each.detail}" for each in pair.challenger.decisions[row].reasons)
        said = (*_said(pair.champion, row), *_said(pair.challenger, row))
        flips.append(Flip(kind, post.id, redact(post.text, post.lang), post.route, *said, reasons))
    return tuple(sorted(flips, key=lambda flip: (KINDS.index(flip.kind), -flip.challenger_confidence, flip.id)))
