"""What somebody else's column is in our words: the mapping file. Owns its form and how it is checked.

A small TOML file: `[columns]` our field = their column, `[constants]`, `[values.FIELD]` their value = ours,
`[route_of_intent]`, `[formats]` of dates and numbers, `[table]` for what cannot be found out of the file.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.importing.tables import Table, TableOptions
from data.post import Author, LabelledPost, Reach
from data.rejects import SourceError
from data.taxonomy import Route

ANNOTATOR = "annotator"
"""Who gave the labels: no field of a post, but kept beside it for the agreement."""
_INNER: Mapping[str, type[BaseModel]] = {"author": Author, "reach": Reach}
FIELDS: tuple[str, ...] = (
    *(name for name in LabelledPost.model_fields if name not in _INNER),
    *(f"{outer}.{name}" for outer, model in _INNER.items() for name in model.model_fields),
    ANNOTATOR,
)
"""What a column can be: the fields of a labelled post, inner ones with a dot, and the annotator."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Formats(_Part):
    """How dates and numbers are written."""

    date: str | None = None
    """As `strptime` wants it ("%d/%m/%Y %H:%M"); ISO 8601 where there is none."""
    zone: str | None = None
    """Of times without one, such as "Europe/London"."""
    thousands: str = Field(default="", max_length=1)

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str | None) -> str | None:
        try:
            return zone and ZoneInfo(zone).key
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone; wanted a name such as Europe/London or UTC") from None


class _Table(_Part):
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    sheet: str | None = None


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; the nearest is {close[0]!r}" if close else ""


class ColumnMapping(_Part):
    """One mapping file. A constant fills a field without a column, or whose cell is empty."""

    table: _Table = _Table()
    columns: dict[str, str]
    constants: dict[str, str | int | bool] = {}
    formats: Formats = Formats()
    values: dict[str, dict[str, str]] = {}
    """Their value = ours, by field."""
    route_of_intent: dict[str, Route] = {}
    """For data without routes: our intent = route."""

    @model_validator(mode="after")
    def _names_our_fields(self) -> Self:
        for place in ("columns", "constants", "values"):
            for field in getattr(self, place):
                if field not in FIELDS:
                    raise ValueError(
                        f"{place}.{field} is no field of a post{_nearest(field, FIELDS)}; wanted {', '.join(FIELDS)}"
                    )
        return self

    @model_validator(mode="after")
    def _says_where_all_labels_come_from(self) -> Self:
        given = {*self.columns, *self.constants}
        if "text" not in self.columns:
            raise ValueError('columns.text is missing; wanted the column with the text, such as text = "Message"')
        if "route" not in given and not self.route_of_intent:
            raise ValueError("nothing says the route; wanted columns.route, constants.route or [route_of_intent]")
        for field in ("intent", "lang"):
            if field not in given:
                raise ValueError(f"nothing says the {field}; wanted columns.{field} or constants.{field}")
        return self

    @property
    def options(self) -> TableOptions:
        """How the mapping wants the file to be read."""
        return TableOptions(**self.table.model_dump())

    def check_columns(self, table: Table) -> None:
        """Nothing, when every column that is named stands in the table.

        Raises:
            SourceError: when one does not.
        """
        for field, column in self.columns.items():
            if column not in table.columns:
                raise SourceError(
                    f"{table.file} cannot be imported: the mapping takes {field} from the column {column!r}, which "
                    f"is not there{_nearest(column, table.columns)}. Wanted one of "
                    f"{', '.join(map(repr, table.columns))}. Correct columns.{field}."
                )


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping in a TOML file.

    Raises:
        SourceError: when it cannot be read, is no TOML, or says something that no mapping says.
    """
    try:
        return ColumnMapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        got = error.strerror or "nothing"
    except ValidationError as error:
        got = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ").replace("Value error, ", "")
            for each in error.errors(include_url=False, include_input=False)
        )
    except ValueError as error:  # no TOML, no UTF-8
        got = str(error)
    raise SourceError(
        f"The mapping {path} cannot be used: {got}. Wanted TOML as docs/data.md shows. "
        "Correct it, or write a first one: python -m data import FILE --suggest mapping.toml"
    )


def identity(table: Table) -> ColumnMapping:
    """The mapping of a table whose columns have our names already.

    Raises:
        SourceError: when it lacks text, intent or route.
    """
    try:
        return ColumnMapping(columns={name: name for name in table.columns if name in FIELDS})
    except ValidationError as error:
        wrong = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise SourceError(
            f"{table.file} cannot be imported without a mapping: {wrong}. It has the columns "
            f"{', '.join(map(repr, table.columns))}. Give --mapping, or write one: --suggest mapping.toml"
        ) from None
