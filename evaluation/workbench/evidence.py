"""Why one post was decided as it was: which words moved the score, how near each threshold was, what would flip it.

Everything is asked of the served predictor itself, post by post, so a figure here is one of the program that answered
(a score does not depend on what else is asked: `models.classifier`). It needs only what the journal keeps, the pair of
texts that the model read and the facts that the guards found. Occlusion, Zeiler & Fergus 2014 (arXiv 1311.2901): a word
is taken out and the change of the score is its part in it. The parts need not add up: words work together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from data.rendering import Rendered, emoji_names, without_author
from data.steps import Steps, finish
from data.taxonomy import Route
from models.guards import facts_again
from models.policy import Action, Facts, Thresholds
from models.predictor import Prediction, Predictor

MOST_PIECES = 60
"""Pieces of one post that are taken out in turn: with a piece of one word 0.4 s of model time at 7 ms a run."""
_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"\S(?:.*?[.!?](?=\s)|.*)", re.S)
_AUTHORITY = re.compile(r"@authority\b")

EditCode = Literal["no_authority", "author_unknown", "without_word", "without_sentence"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a post's rendered text, `text[start:end]`, that is taken out as one; `end` is not included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """A piece and its part in the decisive score: the score with it less the score without it, -1 to 1."""

    piece: Piece
    change: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A probability that the policy compares: `name` is a route or the likeliest intent.

    `missing` is by how much it is on the wrong side for an automatic answer: over 0 holds the post back, 0 or less
    does not. `words` say it: "simple 0.896 is 0.040 under the threshold 0.936".
    """

    name: str
    value: float
    threshold: float
    missing: float
    words: str


@dataclass(frozen=True, slots=True)
class Edit:
    """An honest change of the post, and what would be done with it: `without` is what was taken out, in words."""

    code: EditCode
    without: str
    action: Action
    score: float
    flips: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """The decision, the route whose score decided, that score, every word's part in it, gaps, and the edits tried.

    `edits` begin with those that flip the decision (a machine closes it or no longer does), the least change first.
    """

    prediction: Prediction
    decisive: Route
    score: float
    words: tuple[Word, ...]
    gaps: tuple[Gap, ...]
    edits: tuple[Edit, ...]


@cache
def _names_by_first_word() -> dict[str, list[tuple[str, ...]]]:
    """The names of emoji that have several words, by their first, the longest first."""
    names: dict[str, list[tuple[str, ...]]] = {}
    for name in emoji_names():
        words = tuple(name.split())
        if len(words) > 1:
            names.setdefault(words[0], []).append(words)
    return {first: sorted(each, key=len, reverse=True) for first, each in names.items()}


def _units(text: str) -> list[Piece]:
    """The words of a rendered text; a handle, a mask and the name of an emoji are one each."""
    words = list(_WORD.finditer(text))
    units: list[Piece] = []
    at = 0
    while at < len(words):
        names = _names_by_first_word().get(words[at].group(), [])
        long = next((n for n in names if tuple(w.group() for w in words[at : at + len(n)]) == n), None)
        last = words[at + len(long) - 1] if long else words[at]
        start = words[at].start()
        units.append(Piece(text[start : last.end()], start, last.end()))
        at += len(long) if long else 1
    return units


def pieces_of(text: str, most: int = MOST_PIECES) -> tuple[Piece, ...]:
    """The words of a rendered text in order, at most `most` pieces: those of a longer text are runs of words."""
    units = _units(text)
    size = -(-len(units) // most) or 1
    runs = [units[start : start + size] for start in range(0, len(units), size)]
    return tuple(Piece(text[run[0].start : run[-1].end], run[0].start, run[-1].end) for run in runs)


def sentences_of(text: str) -> tuple[Piece, ...]:
    """The sentences of a rendered text, by their stops."""
    return tuple(Piece(found.group(), *found.span()) for found in _SENTENCE.finditer(text))


def _without(rendered: Rendered, piece: Piece) -> Rendered:
    rest = f"{rendered.text[: piece.start]} {rendered.text[piece.end :]}"
    return replace(rendered, text=" ".join(rest.split()))


def _predict(predictor: Predictor, rendered: Rendered, facts: Facts) -> Prediction:
    return predictor.predict_rendered(rendered, facts_again(facts, rendered.text))


def _decisive(prediction: Prediction) -> Route:
    """The route whose score decided: a specialist's where its threshold was reached, else the likeliest."""
    codes = {reason.code for reason in prediction.decision.reasons}
    specialists: tuple[Route, ...] = ("sensitive", "influencer")
    return next((name for name in specialists if f"{name}_over_threshold" in codes), prediction.route)


def _gap(name: str, value: float, threshold: float, *, wants_over: bool) -> Gap:
    missing = threshold - value if wants_over else value - threshold
    side = "at" if value == threshold else f"{abs(value - threshold):.3f} {'over' if value > threshold else 'under'}"
    return Gap(name, value, threshold, missing, f"{name} {value:.3f} is {side} the threshold {threshold:.3f}")


def gaps(prediction: Prediction, thresholds: Thresholds) -> tuple[Gap, ...]:
    """How far each probability is from its threshold, the one that is most in the way of an automatic answer first.

    Where the policy answers nothing there is no threshold for answers, and only those for specialists are compared.
    """
    specialists: tuple[tuple[Route, float], ...] = (
        ("sensitive", thresholds.sensitive),
        ("influencer", thresholds.influencer),
    )
    found = [_gap(name, prediction.routes[name], line, wants_over=False) for name, line in specialists]
    if not thresholds.answer_nothing:
        found.append(_gap("simple", prediction.routes["simple"], thresholds.simple, wants_over=True))
        confidence = prediction.intents[prediction.intent]
        found.append(_gap(prediction.intent, confidence, thresholds.intent, wants_over=True))
    return tuple(sorted(found, key=lambda gap: -gap.missing))


def _edited(rendered: Rendered, facts: Facts, most: int) -> Iterator[tuple[EditCode, str, Rendered, Facts]]:
    """The edits of the list that can be made on this post, but for the words, with what each leaves out.

    Of the sentences the first `most`.
    """
    if _AUTHORITY.search(rendered.text):
        untagged = replace(rendered, text=_AUTHORITY.sub("@user", rendered.text))
        yield "no_authority", "the tagged authority", untagged, facts
    anonymous = replace(rendered, context=without_author(rendered.context))
    if anonymous != rendered or facts.followers is not None or facts.vip:
        yield "author_unknown", "what is known of the author", anonymous, replace(facts, followers=None, vip=False)
    sentences = sentences_of(rendered.text)
    for piece in sentences[:most] if len(sentences) > 1 else ():
        yield "without_sentence", piece.text, _without(rendered, piece), facts


def explain_in_steps(
    predictor: Predictor, rendered: Rendered, facts: Facts, *, most_pieces: int = MOST_PIECES
) -> Steps[Evidence]:
    """The same as `explain`, one run of the model a step."""
    whole = _predict(predictor, rendered, facts)
    decisive = _decisive(whole)
    score = whole.routes[decisive]

    def edit(code: EditCode, without: str, now: Prediction) -> Edit:
        flips = now.decision.closed_by_machine != whole.decision.closed_by_machine
        return Edit(code, without, now.decision.action, now.routes[decisive], flips)

    words, edits = [], []
    for piece in pieces_of(rendered.text, most_pieces):
        yield
        now = _predict(predictor, _without(rendered, piece), facts)
        words.append(Word(piece, score - now.routes[decisive]))
        edits.append(edit("without_word", piece.text, now))
    for code, without, changed, known in _edited(rendered, facts, most_pieces):
        yield
        edits.append(edit(code, without, _predict(predictor, changed, known)))
    return Evidence(
        prediction=whole,
        decisive=decisive,
        score=score,
        words=tuple(words),
        gaps=gaps(whole, predictor.policy.thresholds),
        edits=tuple(sorted(edits, key=lambda each: (not each.flips, len(each.without)))),
    )


def explain(predictor: Predictor, rendered: Rendered, facts: Facts, *, most_pieces: int = MOST_PIECES) -> Evidence:
    """Why `predictor` decides as it does about what was read of a post, and what would change that.

    One run of the model for every piece, sentence and edit. Texts are those that the model read, with personal data
    masked; the language and the exposed data stay those that the guards found in the post as it was.
    """
    return finish(explain_in_steps(predictor, rendered, facts, most_pieces=most_pieces))
