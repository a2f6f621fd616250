"""A month for the workbench to show: a journal that is the demo's own, filled up to now.

Owns when what happens in it: the campaign, the trial, the outage, the rule, the readers. A journal in which anything
else began is left as it is.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby
from pathlib import Path

from sqlalchemy import Connection, delete, func, select

from data.post import LabelledPost
from data.progress import Watch
from data.sources import read_labelled
from data.splits import PartName, Splits, load_splits
from evaluation.behaviour.capabilities import SHIPPED_CASES, read_cases
from evaluation.behaviour.withstanding import score_injections
from evaluation.predictions import Predictions, join, tabulate
from evaluation.workbench.desk import open_desk
from models.predictor import Predictor
from serving.journal.address import Address
from serving.journal.database import Database
from serving.journal.tables import DECISIONS, METADATA, REVIEWS
from serving.settings import SettingsError
from serving.workbench.confusion.sources import SPLITS_FILE
from serving.workbench.demo.feed import Arrival, Feed, feed_of
from serving.workbench.demo.past import CALLER, Past
from serving.workbench.demo.proposals import propose_all
from serving.workbench.demo.readers import SECOND, begin_draw, forbid_one, read_queues
from serving.workbench.thresholds.openings import CHOOSING, PROVING

MONTH = timedelta(days=30)
POSTS = 12_000
"""In a month: some 17 an hour, so that an hour of the day can be held against the weeks before."""
CAMPAIGN = Path(__file__).with_name("campaign.jsonl")
"""Written for the demo alone, and never to be trained on: what the customers of a company ask that launches a bundle
for the winter, in other shares of intents than the corpus has and with words that it has not."""
HELD_OUT: tuple[PartName, ...] = ("development", "temperature", "calibration")
"""The model was not trained on them, so what it gets wrong is what it gets wrong."""
_STALE_AFTER = timedelta(days=1)
_CAMPAIGN_AGO = timedelta(days=6)
_RULE_AGO = timedelta(days=5)
_OUTAGE_AGO = timedelta(hours=4)
_TRIAL_AGO = timedelta(days=3)
"""So long has a challenger looked on: some thousand posts, which tells enough and doubles the work for these alone."""
_BY_THE_MINUTE = timedelta(hours=2)
"""From the beginning of an outage on, since the brake looks every few seconds on a server."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was added to a journal; nothing where it was new enough."""

    posts: int = 0
    readings: int = 0
    proposals: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """The labelled posts that a demo is made of."""

    splits: Splits
    campaign: tuple[LabelledPost, ...]
    """Those with an intent that the model knows."""

    @property
    def held_out(self) -> list[LabelledPost]:
        """Those that the model was not trained on."""
        return list(chain.from_iterable(map(self.splits.part, HELD_OUT)))

    @property
    def by_id(self) -> dict[str, LabelledPost]:
        """All that come in."""
        return {post.id: post for post in (*self.held_out, *self.campaign)}

    def scored(self, name: PartName, past: Past) -> Predictions:
        """The scores of a part."""
        posts = self.splits.part(name)
        return tabulate(posts, list(past.score(posts)), self.splits.groups(name), self.splits.taxonomy)


def read_corpus(directory: Path, predictor: Predictor) -> Corpus:
    """The labelled posts of a directory with splits.

    Raises:
        SourceError: when they cannot be read or are labelled by other labels than the model's.
        SplitsError: when the splits are not those of the posts.
    """
    taxonomy = predictor.bundle.taxonomy
    posts = read_labelled(directory, taxonomy=taxonomy).posts
    campaign = read_labelled(CAMPAIGN, taxonomy=taxonomy, keep_going=True).posts
    return Corpus(load_splits(directory / SPLITS_FILE, posts, taxonomy), campaign)


def find_newest(connection: Connection) -> datetime | None:
    """When the newest post of a demo came, `None` where there is none, or where its filling was broken off.

    Raises:
        SettingsError: when the journal began as another one.
    """
    oldest = select(DECISIONS.c.key_name).order_by(DECISIONS.c.received_at, DECISIONS.c.prediction_id).limit(1)
    first = connection.execute(oldest).first()
    filled = (connection.execute(select(func.count()).select_from(table)).scalar() for table in METADATA.sorted_tables)
    if first[0] != CALLER if first else any(filled):
        raise SettingsError(
            "The demo was not filled: the journal holds what is no demo's. Wanted: an empty database, or one that a "
            "demo was filled into. Name another one with --journal."
        )
    read = select(REVIEWS.c.id).where(REVIEWS.c.reader == SECOND).limit(1)
    if connection.execute(read).first() is None:
        return None
    return connection.execute(select(func.max(DECISIONS.c.received_at)).where(DECISIONS.c.key_name == CALLER)).scalar()


def _empty(connection: Connection) -> None:
    for table in METADATA.sorted_tables:
        connection.execute(delete(table))


def _pieces(feed: Feed, arrivals: Iterable[Arrival]) -> Iterator[tuple[datetime, list[Arrival]]]:
    """The arrivals by the day, while an outage lasts by the minute; with each piece the time at which it ends."""

    def end_of(arrival: Arrival) -> datetime:
        at = arrival.received_at
        if any(outage <= at < outage + _BY_THE_MINUTE for outage in feed.outages):
            return at.replace(second=0, microsecond=0) + timedelta(minutes=1)
        return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    for end, piece in groupby(arrivals, key=end_of):
        yield end, list(piece)


def _live(past: Past, feed: Feed, since: datetime, until: datetime, watch: Watch) -> int:
    """How many posts came between two times, all of which the brake has seen as a server's would."""
    arrivals = list(feed.between(since, until))
    past.look(since)  # before it was looked at no machine answers
    for end, piece in _pieces(feed, watch(arrivals, f"living until {until:%d %B %H:%M}", len(arrivals))):
        past.live(piece)
        past.look(min(end, until))
    return len(arrivals)


def fill(
    address: Address,
    predictor: Predictor,
    corpus: Path,
    *,
    now: datetime,
    author_key: str,
    watch: Watch,
    posts: int = POSTS,
    fresh: bool = False,
) -> Filled:
    """What was added: a month into an empty journal, and what came since into one whose newest post is a day old.

    Raises:
        SettingsError: when the journal began as another one.
        SourceError, SplitsError: when the labelled posts cannot be used.
        StoreDownError: when the journal cannot be written to.
    """
    database = Database(address)
    try:
        newest = database.read(find_newest)
        if newest is not None and not fresh and now - newest < _STALE_AFTER:
            return Filled()
        posts_of = read_corpus(corpus, predictor)
        since = None if newest is None or fresh else max(newest + timedelta(milliseconds=1), now - MONTH)
        if since is None:
            database.write(_empty)
        with Past(address, predictor, author_key=author_key, trial_from=now - _TRIAL_AGO) as past:
            return _fill(database, past, posts_of, since, now, posts=posts, watch=watch)
    finally:
        database.close()


def _fill(
    database: Database, past: Past, corpus: Corpus, since: datetime | None, now: datetime, *, posts: int, watch: Watch
) -> Filled:
    """What was added: what came after `since`, or a whole month, in which somebody forbids an answer."""
    labels, begin = corpus.by_id, since or now - MONTH
    deque(watch(past.score(labels.values()), "judging the corpus", len(labels)), maxlen=0)
    feed = feed_of(
        corpus.held_out,
        corpus.campaign,
        posts_per_week=posts * (timedelta(weeks=1) / MONTH),
        campaign_from=max(begin, now - _CAMPAIGN_AGO),
        outages=((now - _OUTAGE_AGO).replace(second=0, microsecond=0),),
    )
    ruled_at = now - _RULE_AGO if since is None else begin
    if since is None:
        database.write(begin_draw, begin)
    came, proposals = _live(past, feed, begin, ruled_at, watch), 0
    if since is None:
        database.write(forbid_one, labels, ruled_at)
        choosing, proving = (corpus.scored(name, past) for name in CHOOSING), corpus.scored(PROVING, past)
        injections = score_injections(past.predictor, read_cases(SHIPPED_CASES))
        desk = open_desk(join(*choosing), proving, injections, past.predictor.policy)
        proposals = database.write(propose_all, desk, past.versions.model, now)
    came += _live(past, feed, ruled_at, now, watch)
    # Last, since by the readings it is known that all is there.
    return Filled(came, database.write(read_queues, labels, past.predictor, now, (now - begin) / MONTH), proposals)
