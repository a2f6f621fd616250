"""A first mapping file, guessed from the names and values of the columns, for the user to correct.

Guesses only what it can see; what it cannot, it writes with a question mark, which an import then refuses by name.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from statistics import median

from data.dependencies import needs_group
from data.importing.mapping import ANNOTATOR
from data.importing.posts import cell_text, folded, moment
from data.importing.tables import Table
from data.taxonomy import MAX_INTENTS, PLATFORMS, ROUTES, Taxonomy

_SAMPLED_ROWS = 2_000
_MAX_ROUTE_NAMES = 12
_LANGUAGE_TEXTS = 200
_MAX_ID_CHARACTERS = 64
_UNKNOWN = "?"
_NAMES: Mapping[str, str] = {
    "text": "text message post tweet content body comment utterance query question full_text customer_message sentence",
    "id": "id ticket_id message_id tweet_id post_id ticket case_id uid guid reference ref",
    "route": "route routing queue team handler tier escalation level assigned_to department",
    "intent": "intent label category topic class tag reason type subject contact_reason target",
    "lang": "lang language locale",
    "posted_at": "posted_at created_at created date datetime timestamp time published sent received",
    "platform": "platform channel network source medium",
    "author.handle": "author handle user username screen_name author_handle from sender",
    "author.followers": "followers follower_count followers_count author_followers",
    "author.verified": "verified is_verified blue_tick",
    "author.bio": "bio description profile author_bio about",
    "reach.reposts": "reposts retweets retweet_count shares reposts_count",
    "reach.replies": "replies reply_count comments comment_count",
    "reach.likes": "likes like_count favourites favorites favorite_count reactions",
    "in_reply_to": "in_reply_to reply_to parent brand_message answered_message previous_message",
    "industry": "industry trade sector vertical",
    ANNOTATOR: "annotator labeller labeler rater annotated_by labelled_by labeled_by agent reviewer",
}
"""What columns are called in exports of help desks, social networks and data sets, in order of how telling it is."""
_DATE_FORMATS = (
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d-%m-%Y %H:%M", "%d-%m-%Y",
    "%a %b %d %H:%M:%S %z %Y", "%d %b %Y %H:%M", "%d %b %Y",
)  # fmt: skip
"""Tried in this order where ISO 8601 does not fit; the one with a zone is that of the old Twitter API."""


_OTHER_NAMES = {"twitter": "x", "fb": "facebook", "ig": "instagram", "insta": "instagram", "yt": "youtube"}
"""Of platforms, which resemble their proper ones too little."""


@dataclass(frozen=True, slots=True)
class _Column:
    """What the first rows hold under one name."""

    name: str
    cells: tuple[object, ...]
    """Those that are not empty."""
    rows: int

    @property
    def texts(self) -> list[str]:
        return [cell_text(cell).strip() for cell in self.cells]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.texts)


@dataclass(slots=True)
class Guess:
    """A mapping in the making: our field and their column, and what was noticed on the way."""

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """By field: a remark for the line in the file."""


def _is_wordy(column: _Column) -> bool:
    return bool(column.texts) and median(len(text.split()) for text in column.texts) >= 2


def _is_number(column: _Column) -> bool:
    return bool(column.texts) and all(re.fullmatch(r"\d[\d,. ]*", text) for text in column.texts)


def _is_unique(column: _Column) -> bool:
    distinct = len(column.counts) > 0.9 * len(column.cells)
    return distinct and all(len(text) <= _MAX_ID_CHARACTERS and " " not in text for text in column.texts)


def _is_language(column: _Column) -> bool:
    return bool(column.texts) and all(re.fullmatch(r"[A-Za-z]{2}", text) for text in column.counts)


def _is_label(column: _Column) -> bool:
    few = 2 <= len(column.counts) <= MAX_INTENTS
    return few and max(map(len, column.counts)) <= 80 and len(column.counts) <= len(column.cells) / 2


def _is_route(column: _Column) -> bool:
    return _is_label(column) and len(column.counts) <= _MAX_ROUTE_NAMES


def _is_yes_or_no(column: _Column) -> bool:
    return 1 <= len(column.counts) <= 2


def _is_date(column: _Column) -> bool:
    return bool(column.cells) and _date_format(column) is not None


def _is_any(column: _Column) -> bool:
    return bool(column.cells)


_NUMBERS = ("author.followers", "reach.reposts", "reach.replies", "reach.likes")
_FITS: Mapping[str, Callable[[_Column], bool]] = {
    "text": _is_wordy,
    "id": _is_unique,
    "route": _is_route,
    "intent": _is_label,
    "lang": _is_language,
    "posted_at": _is_date,
    "author.verified": _is_yes_or_no,
    **dict.fromkeys(_NUMBERS, _is_number),
}


def _date_format(column: _Column) -> str | None:
    """How the dates are written: empty for ISO 8601 and for real dates, `None` where they are no dates."""
    for written in ("", *_DATE_FORMATS):
        if all(isinstance(moment(cell, written or None, "UTC"), date | datetime) for cell in column.cells):
            return written
    return None


def _name_score(ours: str, theirs: str) -> float:
    """How well their column's name fits our field, 0 to 1: a known name, or one that contains it."""
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", theirs.rpartition(".")[2] if "." not in ours else theirs)
    name, known = folded(spread), _NAMES[ours].split()
    if folded(theirs) == folded(ours) or name in known[:1]:
        return 1.0
    if name in known:
        return 0.9 - 0.01 * known.index(name)
    tokens = set(name.split("_"))
    return max((0.6 - 0.01 * place for place, each in enumerate(known) if set(each.split("_")) <= tokens), default=0.0)


def _wordiest(columns: Iterable[_Column]) -> _Column | None:
    wordy = [column for column in columns if _is_wordy(column)]
    return max(wordy, key=lambda column: sum(map(len, column.texts)) / len(column.texts), default=None)


def _likest_routes(columns: Iterable[_Column]) -> _Column | None:
    return next((each for each in columns if _is_route(each) and {*map(folded, each.counts)} <= {*ROUTES}), None)


def _richest_labels(columns: Iterable[_Column]) -> _Column | None:
    labels = [each for each in columns if _is_label(each) and not _is_number(each) and not _is_date(each)]
    return max(labels, key=lambda column: len(column.counts), default=None)


def _first_key(columns: Iterable[_Column]) -> _Column | None:
    """The first column of short values of which none stands twice."""
    return next(
        (each for each in columns if _is_unique(each) and len(each.counts) == each.rows and not _is_number(each)), None
    )


_BY_VALUES: Mapping[str, Callable[[Iterable[_Column]], _Column | None]] = {
    "text": _wordiest,
    "id": _first_key,
    "route": _likest_routes,
    "intent": _richest_labels,
}
"""What can be told from values alone, where no name helps."""


def _guess_columns(columns: Sequence[_Column]) -> dict[str, str]:
    scored = sorted(
        ((score, ours, column) for ours in _NAMES for column in columns if (score := _name_score(ours, column.name))),
        key=lambda each: -each[0],
    )
    found: dict[str, str] = {}
    for _, ours, column in scored:
        if ours not in found and column.name not in found.values() and _FITS.get(ours, _is_any)(column):
            found[ours] = column.name
    for ours, choose in _BY_VALUES.items():
        left = [column for column in columns if column.name not in found.values()]
        if ours not in found and (best := choose(left)):
            found[ours] = best.name
    return {ours: found[ours] for ours in _NAMES if ours in found}


def _guess_values(column: _Column, ours: Sequence[str]) -> dict[str, str]:
    """Our name for each of theirs: none where it is ours but for its spelling, the likest, or a question mark."""
    strange = sorted(value for value in column.counts if value not in ours and folded(value) not in ours)
    return {value: _likest(folded(value), ours) for value in strange}


def _likest(name: str, ours: Sequence[str]) -> str:
    other = _OTHER_NAMES.get(name, "")
    return other if other in ours else next(iter(get_close_matches(name, ours, n=1)), _UNKNOWN)


def _guess_language(texts: Sequence[str]) -> str:
    with needs_group("serve", "Guessing a language"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return str(Counter(identifier.classify(text)[0] for text in texts[:_LANGUAGE_TEXTS]).most_common(1)[0][0])


def guess(table: Table, taxonomy: Taxonomy | None = None) -> Guess:
    """The guess over the first 2,000 rows; without a `taxonomy` the names of intents are taken as they are."""
    rows = [row for row in table.rows[:_SAMPLED_ROWS] if not row.problem]
    columns = [
        _Column(name, tuple(cell for row in rows if not _empty(cell := row.values.get(name))), len(rows))
        for name in table.columns
    ]
    by_name = {column.name: column for column in columns}
    made = Guess(columns=_guess_columns(columns))
    named = {ours: by_name[theirs] for ours, theirs in made.columns.items()}
    closed: dict[str, Sequence[str]] = {"route": ROUTES, "platform": PLATFORMS}
    if taxonomy:
        closed["intent"] = taxonomy.names
    for ours, names in closed.items():
        if ours in named and (values := _guess_values(named[ours], names)):
            made.values[ours] = values
    if "posted_at" in named:
        _guess_dates(named["posted_at"], made)
    if mark := _thousands([text for ours in _NUMBERS if ours in named for text in named[ours].texts]):
        made.formats["thousands"] = mark
    if "lang" not in named and "text" in named:
        made.constants["lang"] = _guess_language(named["text"].texts)
        made.notes["lang"] = "guessed from the texts"
    if "route" not in named:
        made.constants["route"] = "complex"
        made.notes["route"] = "nothing tells the route: so to a person; or say [route_of_intent]"
    return made


def _empty(cell: object) -> bool:
    return cell is None or not str(cell).strip()


def _thousands(texts: Sequence[str]) -> str | None:
    """The mark between thousands, where a number has one: 1,204 or 1.204."""
    return next(
        (mark for mark in ",." if any(re.fullmatch(rf"\d{{1,3}}(\{mark}\d{{3}})+", text) for text in texts)), None
    )


def _guess_dates(column: _Column, made: Guess) -> None:
    written = _date_format(column) or ""
    if written:
        made.formats["date"] = written
        twin = written.replace("%d/%m", "%m/%d")
        if twin != written and all(isinstance(moment(cell, twin, "UTC"), datetime) for cell in column.cells):
            made.notes["date"] = "or %m/%d: both fit"
    at = [moment(cell, written or None, None) for cell in column.cells[:50]]
    if any(isinstance(each, date) and getattr(each, "tzinfo", None) is None for each in at):
        made.formats["zone"] = "UTC"
        made.notes["zone"] = "the times name none: correct it"
