"""Facts about a post that no score may overrule: language, exposed data, authorities, reach, VIPs.

Deterministic. Owns how the facts are read; what follows from them stands in `models.policy`.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from types import MappingProxyType

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from data.handles import AUTHORITY_NAMES, normal_handle
from data.post import Post
from data.rendering import Rendered, spoken_text
from models.policy import Facts, GuardLines

_MASKS_AND_MENTIONS = re.compile(r"\[(?:link|card|phone|email|iban|account|national_id)\]|@(?:user|press|authority)\b")
_HASHTAG = re.compile(r"#\w+")
_LETTER = re.compile(r"[^\W\d_]")
_MIN_LETTERS_TO_TELL = 12
"""Below this a detector guesses: "thx", "ok", names. Measured on the corpus in docs/decisions/0004."""

_SCRIPTS: Mapping[str, str] = MappingProxyType({
    "am": "ETHIOPIC", "ar": "ARABIC", "as": "BENGALI", "be": "CYRILLIC", "bg": "CYRILLIC", "bn": "BENGALI",
    "bo": "TIBETAN", "dv": "THAANA", "dz": "TIBETAN", "el": "GREEK", "fa": "ARABIC", "gu": "GUJARATI",
    "he": "HEBREW", "hi": "DEVANAGARI", "hy": "ARMENIAN", "ja": "CJK HIRAGANA KATAKANA", "ka": "GEORGIAN",
    "kk": "CYRILLIC ARABIC", "km": "KHMER", "kn": "KANNADA", "ko": "HANGUL CJK", "ku": "ARABIC", "ky": "CYRILLIC",
    "lo": "LAO", "mk": "CYRILLIC", "ml": "MALAYALAM", "mn": "CYRILLIC", "mr": "DEVANAGARI", "my": "MYANMAR",
    "ne": "DEVANAGARI", "or": "ORIYA", "pa": "GURMUKHI ARABIC", "ps": "ARABIC", "ru": "CYRILLIC", "sd": "ARABIC",
    "si": "SINHALA", "sr": "CYRILLIC", "ta": "TAMIL", "te": "TELUGU", "tg": "CYRILLIC", "th": "THAI",
    "ti": "ETHIOPIC", "ug": "ARABIC", "uk": "CYRILLIC", "ur": "ARABIC", "uz": "CYRILLIC", "yi": "HEBREW",
    "zh": "CJK BOPOMOFO",
})  # fmt: skip
"""The scripts of languages that are not written in Latin alone, as the names of their letters in Unicode begin."""


@dataclass(frozen=True, slots=True)
class Language:
    """The most likely language of a text (ISO 639-1) and its probability; `None` where there is too little to tell."""

    code: str | None
    confidence: float


class LanguageDetector:
    """Tells the language of a short text (py3langid: naive Bayes on byte n-grams, 97 languages).

    Its model is unpacked on a thread of its own, which takes half a second; the first text waits for it.
    """

    def __init__(self) -> None:
        unpacking = ThreadPoolExecutor(1, "language")
        self._identifier = unpacking.submit(LanguageIdentifier.from_model_file, MODEL_FILE, norm_probs=True)
        unpacking.shutdown(wait=False)

    def detect(self, text: str) -> Language:
        """The language of a rendered text, read without mentions, hashtags and masks."""
        words = _words(text)
        if len(_LETTER.findall(words)) < _MIN_LETTERS_TO_TELL:
            return Language(None, 0.0)
        code, confidence = self._identifier.result().classify(words)
        return Language(code, float(confidence))


def _words(text: str) -> str:
    return _HASHTAG.sub(" ", _MASKS_AND_MENTIONS.sub(" ", text))


def _scripts(languages: Iterable[str]) -> frozenset[str]:
    return frozenset(script for code in languages for script in _SCRIPTS.get(code, "").split())


@cache
def _foreign_scripts(supported: tuple[str, ...]) -> frozenset[str]:
    return _scripts(_SCRIPTS) - _scripts(supported)


def _is_foreign_script(text: str, supported: tuple[str, ...]) -> bool:
    """Whether most letters of a rendered text are of a script that no supported language is written in.

    Latin is never foreign: names and brands are written in it everywhere. No letter is too few to tell, unlike for a
    detector: eight of Chinese are a sentence.
    """
    if text.isascii():
        return False
    letters = _LETTER.findall(_words(text))
    foreign = _foreign_scripts(supported)
    found = sum(re.split("[ -]", unicodedata.name(letter, ""), maxsplit=1)[0] in foreign for letter in letters)
    return 2 * found > len(letters)


def _is_readable(text: str) -> bool:
    return any(character.isalnum() for character in _MASKS_AND_MENTIONS.sub(" ", text))


def _language(said: str | None, found: Language, lines: GuardLines) -> tuple[str | None, bool]:
    """The language that the post is taken for, and whether it is supported."""
    if said is not None and said not in lines.supported_languages:
        return said, False
    if found.code is None or found.code in lines.supported_languages:
        return said or found.code, True
    needed = lines.min_language_confidence if said is None else lines.min_contradiction_confidence
    if found.confidence >= needed:
        return found.code, False
    return said or found.code, True


def _authority(text: str) -> str | None:
    if "@authority" in text:
        return "an authority is tagged"
    named = AUTHORITY_NAMES.search(text)
    return f"{named.group().lower()} is named" if named else None


def facts_again(facts: Facts, text: str) -> Facts:
    """The facts of a post of which the model is to read another `text` (rendered): what that alone tells, found anew.

    The language and the exposed data stay as they were found in the post itself.
    """
    return replace(facts, readable=_is_readable(text), authority=_authority(text))


class Guards:
    """Reads the facts of posts. Holds the language model; otherwise without state, safe between threads."""

    def __init__(self, detector: LanguageDetector) -> None:
        self._detector = detector

    def read(self, post: Post, rendered: Rendered, *, truncated: bool, lines: GuardLines, today: date) -> Facts:
        """The facts of one post; `rendered` is its rendering under the same handles as `lines`."""
        spoken = spoken_text(post, rendered, lines.handles)
        lang, supported = _language(post.lang, self._detector.detect(spoken), lines)
        handle = post.author.handle if post.author else None
        return Facts(
            platform=post.platform,
            lang=lang,
            supported_language=supported and not _is_foreign_script(spoken, lines.supported_languages),
            readable=_is_readable(rendered.text),
            truncated=truncated,
            exposed=rendered.exposed,
            authority=_authority(rendered.text),
            followers=post.followers,
            reposts=post.reposts,
            vip=handle is not None and normal_handle(handle) in map(normal_handle, lines.vip_handles),
            today=today,
        )
