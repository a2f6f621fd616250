"""Rows that are no posts: where they stand, what is wrong with each field, and the file that keeps them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import ValidationError

from data.redaction import redact

_MAX_SHOWN_CHARACTERS = 60
_WANTED = {
    "missing": "a value",
    "string_pattern_mismatch": "two small letters",
    "timezone_aware": "a time with its zone",
    "bool_parsing": "true or false",
    "model_type": "an object",
    "string_unicode": "text that is whole Unicode",
}
"""In plainer words than pydantic's, by its name of the error. The only pattern that a read post can miss is
that of `lang`: an intent's name is looked up first."""
_REMEDIES = {
    "missing": "add the field",
    "literal_error": "use one of these values",
    "string_too_long": "shorten it, or leave the post out",
    "string_pattern_mismatch": "give the two-letter ISO 639-1 code in lower case, such as en",
    "timezone_aware": "add the time zone, such as Z or +01:00",
    "model_type": "write it as an object with named fields",
    "string_type": "write it as a string, in quotes",
    "less_than_equal": "correct the figure, or leave it empty where it is unknown",
    "greater_than_equal": "correct the figure, or leave it empty where it is unknown",
    "int_parsing": "write a whole number, or leave it empty where it is unknown",
    "bool_parsing": "write true or false, or leave it empty where it is unknown",
}


class SourceError(ValueError):
    """A source that cannot be read at all: missing, empty, of no known kind, or broken."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong: what stands there (shortened, without personal data), what was wanted, what to do."""

    field: str
    """The path, such as `author.followers`; `(line)` where the row as a whole cannot be read."""
    value: str
    wanted: str
    remedy: str
    code: str
    """Pydantic's name of the error (`string_too_long`), or `unreadable`."""

    def __str__(self) -> str:
        return f"{self.field}: got {self.value}; wanted {self.wanted}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that is no post. `line` counts from 1; in a format without lines it is the number of the row."""

    file: str
    line: int
    problems: tuple[Problem, ...]
    row: object = field(repr=False)
    """The row as it was read, for the reject file; it may hold personal data and is never shown."""

    def __str__(self) -> str:
        return "\n".join(f"{self.file}, line {self.line}, {problem}" for problem in self.problems)


class RejectedRowsError(SourceError):
    """Rows that are no posts, all of them in `rejects`."""

    def __init__(self, rejects: Sequence[Reject], rows: int) -> None:
        self.rejects = tuple(rejects)
        lines = "\n".join(map(str, rejects))
        super().__init__(
            f"{len(rejects)} of {rows} rows could not be read as posts:\n{lines}\n"
            "Correct them, or put them aside with --keep-going --rejects FILE and read the rest."
        )


def shown(value: object) -> str:
    """The value as it may be shown: without personal data, one line, at most 60 characters."""
    if value is None:
        return "nothing"
    text = redact(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    folded = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    if len(folded) > _MAX_SHOWN_CHARACTERS:
        folded = f"{folded[:_MAX_SHOWN_CHARACTERS]}... ({len(text)} characters)"
    return f"'{folded}'" if isinstance(value, str) else folded


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """The fields that a validation found wrong, each as a problem."""
    return tuple(
        Problem(
            field=".".join(map(str, each["loc"])),
            value="nothing" if each["type"] == "missing" else shown(each["input"]),
            wanted=_WANTED.get(each["type"]) or each["msg"].removeprefix("Input should be "),
            remedy=each.get("ctx", {}).get("remedy") or _REMEDIES.get(each["type"], "correct the value"),
            code=each["type"],
        )
        for each in error.errors(include_url=False)
    )


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Nothing; the file at `path` holds every reject afterwards, one JSON object a line, the row as it was read."""
    with path.open("w", encoding="utf-8") as file:
        for reject in rejects:
            line = {
                "file": reject.file,
                "line": reject.line,
                "problems": [asdict(problem) for problem in reject.problems],
                "row": reject.row,
            }
            file.write(json.dumps(line, default=str) + "\n")
