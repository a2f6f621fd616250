"""What the page says of a decision and of its evidence: lines of figures, marked words, and a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data.taxonomy import ROUTES
from evaluation.workbench.evidence import Edit, EditCode, Evidence, Word
from models.policy import Action, Thresholds
from models.predictor import Prediction
from serving.journal.queries import KeptPost
from serving.rules import WITHHELD_CODES

SHOWN_INTENTS = 5
SHOWN_WORDS = 12
_MARKED_FROM = 0.005
"""Of a probability: a word that moves less moves nothing that a person sees, since figures have two digits."""
_SHADES = 20
"""Of a colour, as the style sheet has them."""
ACTION_WORDS: Mapping[Action, str] = {
    "auto_answer": "be answered automatically",
    "no_reply": "be closed without a reply",
    "agent": "go to an agent",
    "specialist": "go to a specialist",
}
_CLOSING = ("auto_answer", "no_reply")


@dataclass(frozen=True, slots=True)
class Line:
    """A probability beside the threshold that it is compared with, if any; `words` say how far it is and what of it."""

    name: str
    value: float
    threshold: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of the text: a word with its part in the score, as `+0.123`, or, with no `shade`, what stands between.

    `shade` is how strong its part is beside the strongest, 0 to 20; `towards` whether it speaks for the decisive route.
    """

    text: str
    shade: int | None = None
    towards: bool = True
    part: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as the page shows it, of the journal or tried; `withheld` says why no machine was let, if so."""

    text: str
    context: str
    route: str
    intent: str
    action: str
    queue: str
    abstained: bool
    move_to_private: bool
    reasons: tuple[tuple[str, str], ...]
    routes: tuple[Line, ...]
    intents: tuple[Line, ...]
    withheld: str


def _compared(value: float, threshold: float) -> str:
    return f"{abs(value - threshold):.3f} {'over' if value >= threshold else 'under'} the threshold {threshold:.3f}"


def _route_lines(routes: Mapping[str, float], thresholds: Thresholds | None) -> Iterator[Line]:
    lines = {} if thresholds is None else {"sensitive": thresholds.sensitive, "influencer": thresholds.influencer}
    if thresholds is not None and not thresholds.answer_nothing:
        lines["simple"] = thresholds.simple
    for name in sorted(ROUTES, key=lambda each: -routes[each]):
        value, line = routes[name], lines.get(name)
        words = "" if line is None else _compared(value, line)
        if line is not None and name == "simple":
            words += ": a machine may close it" if value >= line else ": no machine closes it"
        elif line is not None:
            words += ": to specialists" if value >= line else ": not held back"
        yield Line(name, value, line, words)


def _intent_lines(intents: Mapping[str, float], thresholds: Thresholds | None) -> Iterator[Line]:
    likeliest = sorted(intents, key=lambda each: -intents[each])[:SHOWN_INTENTS]
    for place, name in enumerate(likeliest):
        line = thresholds.intent if thresholds and not thresholds.answer_nothing and place == 0 else None
        yield Line(name, intents[name], line, "" if line is None else _compared(intents[name], line))


def tell_post(post: KeptPost, thresholds: Thresholds | None, *, move_to_private: bool) -> Told:
    """A decision of the journal, beside the thresholds that it was made by, where they are known."""
    first = post.reasons[0] if post.reasons else ("", "")
    return Told(
        text=post.text,
        context=post.context,
        route=post.route,
        intent=post.intent,
        action=post.action,
        queue=post.queue,
        abstained=post.abstained,
        move_to_private=move_to_private,
        reasons=post.reasons,
        routes=tuple(_route_lines(post.routes, thresholds)),
        intents=tuple(_intent_lines(post.intents, thresholds)),
        withheld=first[0] if first[0] in WITHHELD_CODES else "",
    )


def tell_prediction(prediction: Prediction, thresholds: Thresholds) -> Told:
    """What a model makes of a post that was tried."""
    decision = prediction.decision
    return Told(
        text=prediction.rendered.text,
        context=prediction.rendered.context,
        route=prediction.route,
        intent=prediction.intent,
        action=decision.action,
        queue=decision.queue,
        abstained=decision.abstained,
        move_to_private=decision.move_to_private,
        reasons=tuple((each.code, each.detail) for each in decision.reasons),
        routes=tuple(_route_lines({str(name): each for name, each in prediction.routes.items()}, thresholds)),
        intents=tuple(_intent_lines(prediction.intents, thresholds)),
        withheld="",
    )


def _shade(word: Word, strongest: float) -> int | None:
    return round(_SHADES * abs(word.change) / strongest) if abs(word.change) >= _MARKED_FROM else None


def runs_of(text: str, words: Sequence[Word]) -> Iterator[Run]:
    """The text in stretches, in order and without a gap; words that move the score are marked."""
    strongest = max((abs(word.change) for word in words), default=0.0)
    end = 0
    for word in words:
        if text[end : word.piece.start]:
            yield Run(text[end : word.piece.start])
        yield Run(word.piece.text, _shade(word, strongest), word.change > 0, f"{word.change:+.3f}")
        end = word.piece.end
    if text[end:]:
        yield Run(text[end:])


def strongest_words(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words that move the score most, either way, without those that move nothing."""
    moving = [word for word in words if abs(word.change) >= _MARKED_FROM]
    return tuple(sorted(moving, key=lambda word: -abs(word.change))[:SHOWN_WORDS])


_WITHOUT: Mapping[EditCode, str] = {
    "no_authority": "the @authority tag",
    "author_unknown": "what is known of the author",
    "without_word": "“{}”",
    "without_sentence": "the sentence “{}”",
}


def without_words(edit: Edit) -> str:
    """What an edit leaves out, in words."""
    return _WITHOUT[edit.code].format(edit.without)


def flips(evidence: Evidence) -> tuple[Edit, ...]:
    """The changes that flip the decision, the smallest first, each change once."""
    found = [edit for edit in evidence.edits if edit.flips]
    untagged = any(edit.code == "no_authority" for edit in found)
    return tuple(edit for edit in found if not (untagged and edit.without == "@authority"))


def smallest_flip(evidence: Evidence) -> str:
    """The smallest change that would flip the decision, as a sentence; what was tried where none does."""
    found = flips(evidence)
    if found:
        return f"It would {ACTION_WORDS[found[0].action]} without {without_words(found[0])}."
    side = "still be closed by the machine" if evidence.prediction.decision.closed_by_machine else "still go to people"
    tried = len(evidence.edits)
    return f"No single change flips it: it would {side} after each of the {tried} that were tried, one at a time."


def departure(recorded: Mapping[str, float], evidence: Evidence) -> float:
    """By how much a route's probability is another now than when it was decided, at most: 0 to 1."""
    return max(abs(recorded[name] - value) for name, value in evidence.prediction.routes.items())
