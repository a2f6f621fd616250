"""Personal data in a text: where it stands, of which kind, and the text without it.

One implementation serves the model's input, the logs and the journal, so that a verdict never depends on what may
not be stored. Numbers are judged by the libraries that know them: `phonenumbers` for phones, `python-stdnum` for
card (Luhn), IBAN and national numbers. Own expressions only find candidates, or need a word beside the number
("account no", "passport") where the number itself carries no check digit.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatcher, PhoneNumberType
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn

Kind = Literal["email", "iban", "card", "account", "national_id", "phone"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Personal data from character `start` up to `end`. `personal` is false for a helpline or an e-mail address."""

    start: int
    end: int
    kind: Kind
    personal: bool


_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+", re.I)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){2,8}\b", re.I)
_DIGIT_GROUPS = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,}")
_CARD = re.compile(r"[2-6]\d{12,18}")
_MIN_CARD_GROUP_DIGITS = 4
"""Cards are printed as 4-4-4-4 or 4-6-5; shorter groups beside them are an expiry date or a security code."""
_MAX_CARD_GROUPS = 4
_SAID_CARD = re.compile(r"(?<!\[)\b(?:card|visa|mastercard|amex)\b", re.I)
_SORT_CODE_AND_ACCOUNT = re.compile(r"\b\d{2}-\d{2}-\d{2}\b\W{1,4}\d{8}\b")
_SAID_ACCOUNT = re.compile(
    r"\b(?:account|acct|acc|a/c|acc?nt)\b\.?(?: ?(?:no|num|number|nr|is|it's|#|:|\.))*[ :#]{1,3}(\d[\d -]{4,18}\d)\b",
    re.I,
)
_SAID_PASSPORT = re.compile(
    r"\b(?:passport|pasaporte|passeport|reisepass|passaporto)\b\W{0,3}(?:(?:no|num|number|is|nr)\b\W{0,3})*"
    r"([A-Z]{0,2}\d(?: ?\d){5,9})\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class _NationalNumber:
    candidate: re.Pattern[str]
    is_valid: Callable[[str], bool]
    said: re.Pattern[str] | None = None
    """Where set, the number counts only with this word within the 40 characters before it: its check is too weak."""


_SAID_SSN = re.compile(r"\bssn\b|social security", re.I)
_NATIONAL_NUMBERS = (
    _NationalNumber(re.compile(r"\b\d{3}-\d{2}-\d{4}\b"), ssn.is_valid),
    _NationalNumber(re.compile(r"\b\d{3}[- ]?\d{2}[- ]?\d{4}\b"), lambda _: True, _SAID_SSN),
    _NationalNumber(
        re.compile(r"\b[A-Z]{2}(?: ?\d\d){3} ?[A-D]\b", re.I),
        lambda _: True,
        re.compile(r"\bni(?:no)?\b|national insurance", re.I),
    ),
    # GB national insurance number: prefix rules of HMRC's manual NIM39110; it has no check digit.
    _NationalNumber(
        re.compile(r"\b(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d\d){3} ?[A-D]\b", re.I),
        lambda _: True,
    ),
    _NationalNumber(re.compile(r"\b\d{3} ?\d{3} ?\d{4}\b"), nhs.is_valid, re.compile(r"\bnhs\b", re.I)),
    _NationalNumber(re.compile(r"\b\d{8}-?[A-Z]\b", re.I), dni.is_valid),
    _NationalNumber(re.compile(r"\b[XYZ]-?\d{7}-?[A-Z]\b", re.I), nie.is_valid),
    _NationalNumber(re.compile(r"\b[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]\b", re.I), codicefiscale.is_valid),
    _NationalNumber(re.compile(r"\b[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}\b"), nir.is_valid),
    _NationalNumber(re.compile(r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b"), cpf.is_valid),
    _NationalNumber(re.compile(r"\b\d{4} \d{4} \d{4}\b"), aadhaar.is_valid),
    _NationalNumber(re.compile(r"\b[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]\b"), pan.is_valid),
    _NationalNumber(re.compile(r"\b\d{6}(?:\d{2})?[-+]\d{4}\b"), personnummer.is_valid),
    _NationalNumber(re.compile(r"\b\d{11}\b"), pesel.is_valid, re.compile(r"\bpesel\b", re.I)),
    _NationalNumber(re.compile(r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b"), idnr.is_valid, re.compile(r"steuer", re.I)),
    _NationalNumber(re.compile(r"\b\d{9}\b"), bsn.is_valid, re.compile(r"\bbsn\b", re.I)),
)

_REGIONS_BY_LANGUAGE: dict[str, tuple[str, ...]] = {
    "de": ("DE", "AT", "CH"),
    "es": ("ES", "MX"),
    "fr": ("FR", "CA"),
    "hi": ("IN",),
    "id": ("ID",),
    "it": ("IT",),
    "ja": ("JP",),
    "nl": ("NL",),
    "pt": ("BR", "PT"),
    "tl": ("PH",),
    "tr": ("TR",),
}
_DEFAULT_REGIONS = ("GB", "US")
_NOT_A_PERSONS = frozenset(
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)
_SAID_PHONE = re.compile(
    r"(?<!\[)\b(?:call|phone|mobile|mob|cell|ring|txt|text|tel|telephone|whatsapp|contact me|reach me|celular|m[oó]vil|"
    r"llam\w*|handy|anruf\w*|appel\w*)\b",
    re.I,
)
_NETWORK_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
"""Four numbers between dots: not personal by the guide, though it may read like a phone."""
_MIN_DIALLED_DIGITS = 10
_WORD_DISTANCE_CHARACTERS = 40
_DIGITS = re.compile(r"\d+")
_ENOUGH_DIGITS = re.compile(r"(?:\d\D{0,3}){6}")


def _before(text: str, start: int) -> str:
    return text[max(0, start - _WORD_DISTANCE_CHARACTERS) : start]


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        yield Finding(match.start(), match.end(), "email", personal=False)


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        # The expression may run on into the next word: take the longest prefix that is an IBAN.
        for end in range(match.end(), match.start() + 14, -1):
            if text[end - 1] != " " and iban.is_valid(text[match.start() : end]):
                yield Finding(match.start(), end, "iban", personal=True)
                break


def _card_spans(run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Where a card may stand in a run of digits: all of it, else its longer groups, the longest first."""
    yield run.span()
    groups = list(_DIGITS.finditer(run.string, *run.span()))
    for first, start in enumerate(groups):
        for last in range(min(len(groups), first + _MAX_CARD_GROUPS), first, -1):
            if min(len(group.group()) for group in groups[first:last]) >= _MIN_CARD_GROUP_DIGITS:
                yield start.start(), groups[last - 1].end()


def _cards(text: str) -> Iterator[Finding]:
    for run in _DIGIT_GROUPS.finditer(text):
        # A mistyped card number is still somebody's: beside the word it counts without its check digit.
        said = _SAID_CARD.search(_before(text, run.start()))
        for start, end in _card_spans(run):
            number = re.sub(r"[ -]", "", text[start:end])
            if _CARD.fullmatch(number) and (said or luhn.is_valid(number)):
                yield Finding(start, end, "card", personal=True)


def _accounts(text: str) -> Iterator[Finding]:
    for match in _SORT_CODE_AND_ACCOUNT.finditer(text):
        yield Finding(match.start(), match.end(), "account", personal=True)
    for match in _SAID_ACCOUNT.finditer(text):
        yield Finding(match.start(1), match.end(1), "account", personal=True)


def _national_numbers(text: str) -> Iterator[Finding]:
    for match in _SAID_PASSPORT.finditer(text):
        yield Finding(match.start(1), match.end(1), "national_id", personal=True)
    for number in _NATIONAL_NUMBERS:
        for match in number.candidate.finditer(text):
            said = number.said is None or number.said.search(_before(text, match.start()))
            if said and number.is_valid(match.group()):
                yield Finding(match.start(), match.end(), "national_id", personal=True)


def _is_phone(match: phonenumbers.PhoneNumberMatch, text: str) -> bool:
    raw = match.raw_string
    if raw.startswith(("+", "0")):
        # A prefix says that it is dialled; lists of valid ranges lag behind, so the right length is enough.
        return sum(map(str.isdigit, raw)) >= _MIN_DIALLED_DIGITS
    # A bare run of digits is more often an order number than a phone: it needs a word that says so.
    return phonenumbers.is_valid_number(match.number) and (
        not raw.isdigit() or bool(_SAID_PHONE.search(_before(text, match.start)))
    )


def _overlap(match: phonenumbers.PhoneNumberMatch, spans: list[tuple[int, int]]) -> bool:
    return any(match.start < end and start < match.end for start, end in spans)


def _phones(text: str, lang: str | None) -> Iterator[Finding]:
    addresses = [match.span() for match in _NETWORK_ADDRESS.finditer(text)]
    for region in _REGIONS_BY_LANGUAGE.get(lang or "", ()) + _DEFAULT_REGIONS:
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.POSSIBLE):
            if _is_phone(match, text) and not _overlap(match, addresses):
                personal = phonenumbers.number_type(match.number) not in _NOT_A_PERSONS
                yield Finding(match.start, match.end, "phone", personal)


def find_personal_data(text: str, lang: str | None = None) -> tuple[Finding, ...]:
    """All personal data in `text`, in order of place, without overlaps.

    `lang` (ISO 639-1) says in which countries a phone number without prefix may be at home; Great Britain and the
    United States are always tried.
    """
    findings: list[Finding] = []

    def take(found: Iterator[Finding]) -> None:
        for new in found:
            if all(new.end <= old.start or new.start >= old.end for old in findings):
                findings.append(new)

    if "@" in text:
        take(_emails(text))
    # Every other kind has six digits or more with at most three other characters between two of them.
    if _ENOUGH_DIGITS.search(text):
        take(_ibans(text))
        take(_cards(text))
        take(_accounts(text))
        take(_national_numbers(text))
        take(_phones(text, lang))
    return tuple(sorted(findings))


def mask(text: str, findings: tuple[Finding, ...]) -> str:
    """`text` with `[kind]` in place of every finding; `findings` as `find_personal_data(text)` gave them."""
    parts, done = [], 0
    for finding in findings:
        parts += [text[done : finding.start], f"[{finding.kind}]"]
        done = finding.end
    return "".join([*parts, text[done:]])


def mask_all(text: str, lang: str | None = None) -> tuple[str, tuple[Finding, ...]]:
    """`text` without personal data, and all that was found in it.

    A mask brings the words around it nearer to each other, so it is looked again until nothing is found: what comes
    back is left as it is by a second call. Places in later findings are those of the partly masked text.
    """
    found: tuple[Finding, ...] = ()
    # Ends: every finding takes digits or an "@" away, and a mask has neither.
    while findings := find_personal_data(text, lang):
        text, found = mask(text, findings), found + findings
    return text, found


def redact(text: str, lang: str | None = None) -> str:
    """`text` without personal data: what may be logged, stored and shown to the model."""
    return mask_all(text, lang)[0]
