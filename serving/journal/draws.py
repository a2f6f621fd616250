"""Automatic answers in their order: at which chance each was drawn, whether it was, and what readers say of it.

Only what was drawn by its lot counts. An answer that somebody read for another reason, a complaint or a doubt of the
model, is in here as one that was not drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data.taxonomy import Intent
from models.calibration import FloatArray
from models.policy import RiskBudget
from models.promise import BoolArray, Watch, lot_of, watch
from serving.journal.facets import ms_of
from serving.journal.lotteries import Lottery, Said, Scope, automatic_answers, lotteries, said_of_automatic_answers
from serving.journal.samples import Sample
from serving.wire import Versions

Verdict = Literal["unread", "doubt", "right", "wrong", "sensitive"]
"""What is known of an answer. `wrong` is what the budget of that name counts (docs/decisions/0009): another route than
simple, or left without the reply that its intent wants; `sensitive` is wrong as well."""
Content = frozenset[Intent]
"""The intents that lose nothing by silence, under one policy (`models.policy.content_unanswered`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Automatic answers in the order in which they came, `[n]` each. Of those not drawn the verdict is `unread`."""

    ids: tuple[str, ...]
    at_ms: npt.NDArray[np.int64]
    chance: FloatArray
    drawn: BoolArray
    verdicts: tuple[Verdict, ...]
    said: dict[str, tuple[Said, ...]]

    def of(self, *verdicts: Verdict) -> BoolArray:
        """The answers of which that is known, `[n]`."""
        return np.array([each in verdicts for each in self.verdicts], dtype=np.bool_)

    @property
    def waiting(self) -> BoolArray:
        """The answers that were drawn and nobody has judged yet, `[n]`."""
        return self.drawn & self.of("unread")

    @property
    def read(self) -> BoolArray:
        """The answers that were drawn and somebody has judged, `[n]`."""
        return self.drawn & ~self.of("unread")

    @property
    def counted(self) -> int:
        """How many answers come before the first that was drawn and is not judged: these alone say something."""
        waiting = np.flatnonzero(self.waiting)
        return int(waiting[0]) if len(waiting) else len(self.ids)

    def test(self, budget: RiskBudget) -> Watch:
        """Whether the promise of a budget on wrong answers, over 0 and under 1, is broken, by those that count."""
        n, wrong = self.counted, self.of("wrong", "sensitive")
        return watch(wrong[:n], self.drawn[:n], self.chance[:n], promise=budget.wrong, confidence=budget.confidence)


def _is_wrong(label: Said, action: str, content: Content) -> bool:
    return label.route != "simple" or (action == "no_reply" and label.intent not in content)


def verdict_of(said: Iterable[Said], action: str, content: Content) -> Verdict:
    """What most of those say who gave a label; even numbers are a doubt, and so is "can't tell" alone.

    `action` is what the machine did; silence is right for the intents of `content` alone.
    """
    readings = list(said)
    labels = [each for each in readings if each.verdict == "label"]
    if not labels:
        return "doubt" if any(each.verdict == "cannot_tell" for each in readings) else "unread"
    wrong = sum(_is_wrong(each, action, content) for each in labels)
    sensitive = sum(each.route == "sensitive" for each in labels)
    if 2 * wrong == len(labels):
        return "doubt"
    if 2 * wrong < len(labels):
        return "right"
    return "sensitive" if 2 * sensitive > len(labels) else "wrong"


def scopes_of(
    settings: Sequence[Lottery], versions: Versions, now: datetime, retention_days: int
) -> tuple[Scope, Scope | None] | None:
    """The answers that are watched now, and those of the watch before; `None` while nobody is drawn.

    A watch is of one model and policy. What it counts must not be deleted while it lasts, or the answers that nobody
    read would be missing from it: so it ends after half of the time for which answers are kept, and another begins.
    """
    if not settings:
        return None
    since, names = settings[0].since, (versions.model, versions.policy)
    if not retention_days:
        return Scope(*names, since), None
    length = timedelta(days=retention_days) / 2
    turns = (now - since) // length
    begun = since + turns * length
    return Scope(*names, begun), Scope(*names, begun - length, begun) if turns else None


def read_stream(connection: Connection, scope: Scope, settings: Sequence[Lottery], content: Content) -> Stream:
    """The automatic answers of a scope, which begins with or after the first of the settings.

    `content` is that of the scope's policy.
    """
    answers = automatic_answers(connection, scope)
    said = said_of_automatic_answers(connection, scope)
    ids, at_ms, actions = zip(*answers, strict=True) if answers else ((), (), ())
    begins = [ms_of(each.since) for each in settings]
    held = [settings[place - 1] for place in np.searchsorted(begins, at_ms, side="right")]
    drawn = [lot_of(key, each.secret) < each.chance for key, each in zip(ids, held, strict=True)]
    verdicts: list[Verdict] = [
        verdict_of(said.get(key, ()), action, content) if is_drawn else "unread"
        for key, action, is_drawn in zip(ids, actions, drawn, strict=True)
    ]
    return Stream(
        ids=ids,
        at_ms=np.array(at_ms, dtype=np.int64),
        chance=np.array([each.chance for each in held], dtype=np.float64),
        drawn=np.array(drawn, dtype=np.bool_),
        verdicts=tuple(verdicts),
        said=said,
    )


def sample_of(stream: Stream) -> Sample:
    """The drawn answers that count, and those of them that are wrong or that nobody could judge."""
    n = stream.counted
    return Sample(int(stream.drawn[:n].sum()), int(stream.of("wrong", "sensitive", "doubt")[:n].sum()))


def unread_by(stream: Stream, reader: str) -> list[str]:
    """The drawn answers that wait for somebody and that this reader has not skipped, the oldest first."""
    waiting = [stream.ids[place] for place in np.flatnonzero(stream.waiting)]
    return [key for key in waiting if all(each.reader != reader for each in stream.said.get(key, ()))]


def read_draw(
    connection: Connection, versions: Versions, content: Content, now: datetime, retention_days: int
) -> Stream | None:
    """The answers that are watched now, `None` while nobody is drawn; `content` is that of the versions' policy."""
    settings = lotteries(connection)
    scopes = scopes_of(settings, versions, now, retention_days)
    return read_stream(connection, scopes[0], settings, content) if scopes else None


def read_draws(
    connection: Connection, models: Mapping[Versions, Content], now: datetime, retention_days: int
) -> Stream | None:
    """The watched answers of several models in one order, to be read by people; a figure is of one model alone."""
    found = [read_draw(connection, versions, content, now, retention_days) for versions, content in models.items()]
    streams = [stream for stream in found if stream is not None]
    if not streams:
        return None
    order = np.argsort(np.concatenate([stream.at_ms for stream in streams]), kind="stable")
    ids, verdicts = ([each for stream in streams for each in getattr(stream, name)] for name in ("ids", "verdicts"))
    return Stream(
        ids=tuple(ids[place] for place in order),
        at_ms=np.concatenate([stream.at_ms for stream in streams])[order],
        chance=np.concatenate([stream.chance for stream in streams])[order],
        drawn=np.concatenate([stream.drawn for stream in streams])[order],
        verdicts=tuple(verdicts[place] for place in order),
        said={key: said for stream in streams for key, said in stream.said.items()},
    )
