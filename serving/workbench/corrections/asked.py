"""Which corrections an address asks for, read from it and written into it. Owns the names and what they may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from serving.journal.corrections import CorrectionFilter


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise HTTPException(
            422, f"Nothing was looked for: {name} is {text[:40]!r}. Wanted: a day such as 2026-11-22. Correct it."
        ) from None


def _midnight(day: date | None, days_later: int = 0) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days_later) if day else None


@dataclass(frozen=True, slots=True)
class Asked:
    """A choice of corrections; what is empty chooses all. `since` and `until` are days in UTC, both included."""

    reader: str = ""
    route: str = ""
    intent: str = ""
    model: str = ""
    since: date | None = None
    until: date | None = None

    @classmethod
    def read(cls, source: Mapping[str, str]) -> Self:
        """The choice that an address makes.

        Raises:
            HTTPException: 422 when a day is none.
        """
        plain = {name: source.get(name, "") for name in ("reader", "route", "intent", "model")}
        since, until = (_day(words, source.get(words, "")) for words in ("since", "until"))
        return cls(**plain, since=since, until=until)

    @property
    def wanted(self) -> CorrectionFilter:
        """The same for the journal."""
        plain = (self.reader, self.route, self.intent, self.model)
        return CorrectionFilter(_midnight(self.since), _midnight(self.until, 1), *plain)

    @property
    def query(self) -> str:
        """The same as an address."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return urlencode({name: value for name, value in named.items() if value})
