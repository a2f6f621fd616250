"""Which posts a report is of: the filters, read from an address and written into one. Owns their names and values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Self

from starlette.exceptions import HTTPException

FACETS = ("platform", "language", "industry", "length", "author")
"""Dimensions of `evaluation.slices` that are filters too."""


def _refuse(name: str, got: str, wanted: str) -> HTTPException:
    return HTTPException(
        422,
        f"The report was not filtered: {name} is {got[:40]!r}. Wanted: {wanted}. Correct it, or leave it empty.",
    )


def _share(name: str, text: str, default: float) -> float:
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise _refuse(name, text, "a number from 0 to 1, such as 0.8")
    return value


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise _refuse(name, text, "a day such as 2026-11-22") from None


@dataclass(frozen=True, slots=True)
class Where:
    """A choice of posts; what is empty chooses all. `least` and `most` bound the confidence of the route."""

    platform: str = ""
    language: str = ""
    industry: str = ""
    length: str = ""
    author: str = ""
    intent: str = ""
    least: float = 0.0
    most: float = 1.0
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """The choice that an address makes.

        Raises:
            HTTPException: 422 when a number or a day is none.
        """
        plain = {name: query.get(name, "") for name in (*FACETS, "intent")}
        return cls(
            **plain,
            least=_share("the least confidence", query.get("least", ""), 0.0),
            most=_share("the most confidence", query.get("most", ""), 1.0),
            since=_day("the first day", query.get("since", "")),
            until=_day("the last day", query.get("until", "")),
        )

    def as_query(self) -> dict[str, str]:
        """What an address needs to make this choice, without what chooses all."""
        everything = {field.name: field.default for field in fields(self)}
        return {name: f"{value}" for name, value in asdict(self).items() if value != everything[name]}
