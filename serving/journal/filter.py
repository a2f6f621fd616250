"""Which decisions of the journal are meant: one value for every question. Owns how it is said in SQL."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement

from serving.journal.facets import ms_of
from serving.journal.reviews import labelled
from serving.journal.tables import FACETS


@dataclass(frozen=True, slots=True)
class Filter:
    """What all of the decisions meant have in common; what is empty or `None` says nothing.

    There is no industry: a post that is sent to be judged has none.
    """

    since: datetime | None = None
    """Received then or later."""
    until: datetime | None = None
    """Received before."""
    platforms: tuple[str, ...] = ()
    langs: tuple[str, ...] = ()
    """As the guard took it; `""` is where it could not tell."""
    routes: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    least_confidence: float | None = None
    """Of the route, 0 to 1."""
    most_confidence: float | None = None
    least_characters: int | None = None
    """Of the text as the model read it."""
    most_characters: int | None = None
    author: str | None = None
    """A pseudonym."""
    cluster: str | None = None
    abstained: bool | None = None
    reviewed: bool | None = None
    """Has a label of a reader that stands."""
    lanes: tuple[str, ...] = ("live", "canary")


def conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    """What must hold of a row of facets."""
    at_ms, confidence, characters = FACETS.c.at_ms, FACETS.c.confidence, FACETS.c.characters
    if wanted.since is not None:
        yield at_ms >= ms_of(wanted.since)
    if wanted.until is not None:
        yield at_ms < ms_of(wanted.until)
    for column, values in (
        (FACETS.c.platform, wanted.platforms),
        (FACETS.c.lang, wanted.langs),
        (FACETS.c.route, wanted.routes),
        (FACETS.c.intent, wanted.intents),
        (FACETS.c.action, wanted.actions),
        (FACETS.c.model_version, wanted.models),
        (FACETS.c.lane, wanted.lanes),
    ):
        if values:
            yield column.in_(values)
    for compared, least, most in (
        (confidence, wanted.least_confidence, wanted.most_confidence),
        (characters, wanted.least_characters, wanted.most_characters),
    ):
        if least is not None:
            yield compared >= least
        if most is not None:
            yield compared <= most
    for column, value in ((FACETS.c.author, wanted.author), (FACETS.c.cluster, wanted.cluster)):
        if value is not None:
            yield column == value
    if wanted.abstained is not None:
        yield FACETS.c.abstained.is_(wanted.abstained)
    if wanted.reviewed is not None:
        has_label = FACETS.c.prediction_id.in_(labelled())
        yield has_label if wanted.reviewed else ~has_label
