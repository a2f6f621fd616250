"""A table and its mapping as labelled posts. Owns what becomes of a cell, of a label name and of a missing id.

Every row becomes a post or a reject. Label names that nobody knows are gathered and told once each, with their count.
"""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from data.formats import Row
from data.importing.mapping import ANNOTATOR, ColumnMapping
from data.importing.tables import Table
from data.output import whole_file
from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.rejects import Problem, Reject, RejectedRowsError, SourceError, problems_of, shown
from data.sources import labelled_line
from data.taxonomy import BUILT_IN, PLATFORMS, ROUTES, Taxonomy

_COUNTS = ("author.followers", "reach.reposts", "reach.replies", "reach.likes")
_ID_DIGITS = 16
"""64 bits of a hash: among a million different posts two share it with a chance of 3 in 100 million."""


@dataclass(frozen=True, slots=True)
class UnknownLabel:
    """A label name that is neither ours nor mapped: how many rows have it, and which of ours is most like it."""

    field: str
    value: str
    rows: int
    nearest: str | None

    def __str__(self) -> str:
        near = f"the nearest is {self.nearest!r}" if self.nearest else "none of ours is like it"
        return f"  {self.field}: {shown(self.value)} ({self.rows} rows; {near})"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a table: the posts, who labelled each, the rows that are none, and the unknown labels."""

    posts: tuple[LabelledPost, ...]
    annotators: tuple[str | None, ...]
    rejects: tuple[Reject, ...]
    unknown: tuple[UnknownLabel, ...]
    generated_ids: int


class UnknownLabelsError(SourceError):
    """Label names that are neither ours nor mapped, all of them in `unknown`."""

    def __init__(self, file: str, unknown: Sequence[UnknownLabel]) -> None:
        self.unknown = tuple(unknown)
        lines = "\n".join(map(str, unknown))
        fields = ", ".join(f"[values.{field}]" for field in dict.fromkeys(each.field for each in unknown))
        super().__init__(
            f"{file} has {len(unknown)} label names that nobody knows:\n{lines}\n"
            f'Wanted names of the taxonomy, or lines "theirs" = "ours" below {fields} in the mapping. '
            "Add them, or put these rows aside with --keep-going --rejects FILE."
        )


def folded(name: str) -> str:
    """The label name as ours are written: "Where is my card?" as `where_is_my_card`."""
    return "_".join("".join(each if each.isalnum() else " " for each in name.casefold()).split())


def _is_empty(cell: object) -> bool:
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def cell_text(cell: object) -> str:
    """A cell as text: Excel keeps 1059 as 1059.0."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def moment(cell: object, written: str | None, zone: str | None) -> object:
    """The cell as a time with its zone; what cannot be one comes back as it is, for the post to refuse."""
    at = cell
    if isinstance(at, str) and written:
        at = _parsed(at.strip(), written)
    elif isinstance(at, str):
        at = _iso(at.strip())
    elif isinstance(at, date) and not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day)  # noqa: DTZ001 (its zone follows)
    if isinstance(at, datetime) and at.tzinfo is None and zone:
        return at.replace(tzinfo=ZoneInfo(zone))
    return at


def _parsed(text: str, written: str) -> object:
    try:
        return datetime.strptime(text, written)  # noqa: DTZ007 (its zone follows)
    except ValueError:
        return text


def _iso(text: str) -> object:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


class _Labels:
    """Their label names in our words; gathers the names that nobody knows."""

    def __init__(self, mapping: ColumnMapping, taxonomy: Taxonomy) -> None:
        ours = {"route": tuple(ROUTES), "intent": taxonomy.names, "platform": tuple(PLATFORMS)}
        self._ours: dict[str, tuple[str, ...]] = ours
        self._mapping = mapping
        self.unknown: Counter[tuple[str, str]] = Counter()

    def ours(self, field: str, cell: object) -> str:
        """Our name of a value: as the mapping says, else the value itself where it is ours but for its spelling."""
        text = cell_text(cell).strip()
        said = self._mapping.values.get(field, {}).get(text, text)
        known = self._ours.get(field)
        return said if known is None or said in known or folded(said) not in known else folded(said)

    def problem(self, field: str, said: object, cell: object) -> Problem | None:
        """What is wrong with the label of a row, where it is none of ours; counted by what stands in the cell."""
        known = self._ours[field]
        if said in known:
            return None
        text = cell_text(cell).strip()
        self.unknown[field, text] += 1
        near = self.nearest(field, text)
        remedy = f"map it below [values.{field}]" + (f"; the nearest is {near!r}" if near else "")
        return Problem(field, shown(text), "a label of ours", remedy, "unknown_label")

    def nearest(self, field: str, value: str) -> str | None:
        """The one of our names that is most like theirs."""
        return next(iter(get_close_matches(folded(value), self._ours[field], n=1)), None)

    def told(self) -> tuple[UnknownLabel, ...]:
        """Every unknown label, the most frequent first."""
        counted = sorted(self.unknown.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
        return tuple(UnknownLabel(field, value, n, self.nearest(field, value)) for (field, value), n in counted)


def _values(row: Row, mapping: ColumnMapping) -> dict[str, object]:
    """Our fields and what their columns hold; constants where there is nothing."""
    found = {field: row.values.get(column) for field, column in mapping.columns.items()}
    known = {field: cell for field, cell in found.items() if not _is_empty(cell)}
    return {**mapping.constants, **known}


def _converted(field: str, cell: object, mapping: ColumnMapping, labels: _Labels) -> object:
    if field == "posted_at":
        return moment(cell, mapping.formats.date, mapping.formats.zone)
    if field in _COUNTS:
        text = cell_text(cell).strip()
        return text.replace(mapping.formats.thousands, "") if mapping.formats.thousands else text
    if field == "author.verified":
        return mapping.values.get(field, {}).get(cell_text(cell).strip(), cell)
    if field == "lang":
        return labels.ours(field, cell).lower()
    if field in ("text", "author.bio", "in_reply_to"):
        return cell_text(cell)
    return labels.ours(field, cell)


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    outer: dict[str, object] = {name: value for name, value in values.items() if "." not in name}
    inner: dict[str, dict[str, object]] = defaultdict(dict)
    for name, value in values.items():
        head, dot, rest = name.partition(".")
        if dot:
            inner[head][rest] = value
    return outer | inner


class _Ids:
    """Ids for rows without one: the same for the same content, numbered where it stands more than once."""

    def __init__(self) -> None:
        self.given = 0
        self._seen: Counter[tuple[str, object]] = Counter()

    def next(self, values: Mapping[str, object], annotator: object) -> str:
        """The id of a row by all that it says but its labels; one person's second copy gets `-2`."""
        content = {name: value for name, value in values.items() if name not in ("route", "intent", ANNOTATOR)}
        line = json.dumps(content, sort_keys=True, default=str, ensure_ascii=True)
        digest = hashlib.sha256(line.encode()).hexdigest()[:_ID_DIGITS]
        self.given += 1
        self._seen[digest, annotator] += 1
        copy = self._seen[digest, annotator]
        return f"p-{digest}" if copy == 1 else f"p-{digest}-{copy}"


def _label_problems(found: Mapping[str, object], values: Mapping[str, object], labels: _Labels) -> tuple[Problem, ...]:
    fields = [field for field in ("route", "intent", "platform") if field in values and field in found]
    problems = [labels.problem(field, values[field], found[field]) for field in fields]
    return tuple(problem for problem in problems if problem)


def _entry(
    row: Row, mapping: ColumnMapping, labels: _Labels, ids: _Ids
) -> tuple[dict[str, object], tuple[Problem, ...]]:
    found = _values(row, mapping)
    values = {field: _converted(field, cell, mapping, labels) for field, cell in found.items()}
    if "route" not in mapping.columns and str(values.get("intent")) in mapping.route_of_intent:
        values["route"] = mapping.route_of_intent[str(values["intent"])]
    if "id" not in values:
        values["id"] = ids.next(values, values.get(ANNOTATOR))
    return values, _label_problems(found, values, labels)


def import_posts(
    table: Table,
    mapping: ColumnMapping,
    *,
    taxonomy: Taxonomy = BUILT_IN,
    keep_going: bool = False,
    watch: Watch = unwatched,
) -> Imported:
    """The labelled posts of a table, by its mapping.

    Raises:
        UnknownLabelsError: when rows have labels that are neither ours nor mapped, listing each once.
        RejectedRowsError: when rows are no labelled posts, listing all of them.
            With `keep_going` both are in `Imported` instead.
        SourceError: when the mapping names a column that is not there.
    """
    mapping.check_columns(table)
    labels, ids = _Labels(mapping, taxonomy), _Ids()
    posts: list[LabelledPost] = []
    annotators: list[str | None] = []
    rejects: list[Reject] = []
    for row in watch(table.rows, "importing", len(table.rows)):
        if row.problem:
            rejects.append(Reject(row.file, row.line, (row.problem,), row.raw))
            continue
        values, problems = _entry(row, mapping, labels, ids)
        annotator = values.pop(ANNOTATOR, None)
        try:
            post = LabelledPost.model_validate(_nested(values), context=taxonomy)
        except ValidationError as error:
            named = {problem.field for problem in problems}
            problems += tuple(each for each in problems_of(error) if each.field not in named)
        if problems:
            rejects.append(Reject(row.file, row.line, problems, dict(row.values)))
        else:
            posts.append(post)
            annotators.append(None if annotator is None else str(annotator))
    unknown = labels.told()
    if not keep_going:
        _refuse(table, rejects, unknown)
    return Imported(tuple(posts), tuple(annotators), tuple(rejects), unknown, ids.given)


def _refuse(table: Table, rejects: Sequence[Reject], unknown: Sequence[UnknownLabel]) -> None:
    """Nothing, where every row is a post; labels that nobody knows are told by name, all else by row."""
    if unknown:
        raise UnknownLabelsError(table.file, unknown)
    if rejects:
        raise RejectedRowsError(rejects, rows=len(table.rows))


def _lines(imported: Imported) -> Iterator[str]:
    for post, annotator in zip(imported.posts, imported.annotators, strict=True):
        yield labelled_line(post, {} if annotator is None else {ANNOTATOR: annotator})


def write_imported(path: Path, imported: Imported) -> None:
    """Nothing; the file at `path` holds the posts afterwards as JSON Lines, each with its annotator where known.

    What stood there before stays until the new file is whole.
    """
    with whole_file(path) as file:
        file.writelines(f"{line}\n" for line in _lines(imported))
