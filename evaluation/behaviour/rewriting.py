"""The same post written otherwise: typos, casing, emoji. Each rewriting gives the same for the same text."""

import random
import re
from collections.abc import Callable
from typing import Literal, get_args

Rewriting = Literal["typo", "casing", "emoji"]
REWRITINGS: tuple[Rewriting, ...] = get_args(Rewriting)
_LONG_WORD = re.compile(r"[A-Za-z]{5,}")
"""A slip in a shorter word often makes another word ("not", "now"), which may rightly mean something else."""
_EMOJI = ("\N{WAVING HAND SIGN} {}", "{} \N{SPARKLES}", "{} \N{MOBILE PHONE}")
"""None of them praises, mourns or complains."""

_SLIPS: tuple[Callable[[str, str], str], ...] = (
    lambda one, two: two + one,
    lambda one, _: one,
    lambda one, two: one + one + two,
)
"""What two letters beside each other become: swapped, the second dropped, the first doubled."""


def _slip(text: str, word: re.Match[str], place: int, letters: str) -> str:
    """`text` with the two letters of `word` at `place` replaced by `letters`."""
    at = word.start() + place
    return f"{text[:at]}{letters}{text[at + 2 :]}"


def _typos(text: str) -> tuple[str, ...]:
    """A letter swapped with its neighbour, one dropped and one doubled, each in a long word, never its first letter."""
    words = list(_LONG_WORD.finditer(text))
    draw = random.Random(text)
    made = []
    for letters_of in _SLIPS:
        if not words:
            break
        word = draw.choice(words)
        place = draw.randrange(1, len(word[0]) - 1)
        made.append(_slip(text, word, place, letters_of(*word[0][place : place + 2])))
    return tuple(made)


def _casings(text: str) -> tuple[str, ...]:
    return text.upper(), text.lower(), text.title()


def _emoji(text: str) -> tuple[str, ...]:
    return tuple(form.format(text) for form in _EMOJI)


_WAYS: dict[Rewriting, Callable[[str], tuple[str, ...]]] = {"typo": _typos, "casing": _casings, "emoji": _emoji}


def rewrite(text: str, rewriting: Rewriting) -> tuple[str, ...]:
    """The ways in which `text` is written otherwise; those that come out as `text` itself are left out."""
    return tuple(each for each in _WAYS[rewriting](text) if each != text)
