"""What comes in during a demo: labelled posts at an invented rhythm. Owns what is invented of a post.

Invented are when it came and was posted, who wrote it, how often it comes again with other numbers in it, when a
campaign begins that brings posts of its own, and outages of which many complain in nearly the same words. Each hour is
drawn from a seed of its own, so an hour brings the same posts whenever it is asked for.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from ulid import ULID

from data.handles import DEFAULT_HANDLES
from data.post import Author, LabelledPost, Post
from data.taxonomy import Intent, Route

HOUR = timedelta(hours=1)
ROUTE_SHARES: Mapping[Route, float] = MappingProxyType(
    {"simple": 0.60, "complex": 0.29, "sensitive": 0.07, "influencer": 0.04}
)
"""Made up to look like a feed; the corpus has more of the dangerous routes than any feed has, to be learnt."""
_OF_HOUR = (3, 2, 2, 2, 3, 5, 9, 15, 22, 26, 27, 25, 24, 24, 23, 23, 24, 26, 28, 30, 28, 21, 13, 7)
"""How many posts an hour of the day (UTC) brings beside the others."""
_OF_WEEKDAY = (1.15, 1.10, 1.05, 1.05, 1.10, 0.80, 0.75)
"""Likewise a day of the week, Monday first."""
_PER_WEEK = sum(_OF_HOUR) * sum(_OF_WEEKDAY)
_AUTHORS = 5_000
_KNOWN_FOLLOWERS = 10_000
"""From here on the guide counts an author's reach, and the name stays the corpus's."""
_POSTED_MEDIAN_S, _POSTED_SIGMA = 50.0, 1.5
"""How long before it came a post was posted (log-normal): 3 % of them more than 15 minutes."""
_NUMBER = re.compile(r"(?<![\w@#./:,£$€+-])(?:[1-9]\d|[1-9]\d{3,5})(?![\w./:,%-])")
"""A number that means nothing for the labels: of two, four to six digits, and no price, time or part of another."""
CAMPAIGN_SHARE = 0.4
"""Of the posts since the campaign began."""
_OUTAGE_RATES = ((15, 5.0), (30, 3.0), (60, 1.2))
"""Until so many minutes after it began, how many complain a minute: 156 in an hour are expected."""
_OUTAGE_TOWNS = ("Leddingham", "Harrowby", "Penlan", "Ormskirk", "Wexcombe", "Tarn Hill", "Elmsbridge")
_OUTAGE_ENDS = ("", "", " again", " please", " today", " !!")
OUTAGE: tuple[Route, Intent] = ("complex", "fault_outage")
OUTAGE_MARK = "outage"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A post that comes in. What stands before the slash in its id is the id of the labelled post, or `OUTAGE_MARK`."""

    received_at: datetime
    prediction_id: str
    post: Post


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The posts that come: `usual` ones by route, from `campaign_from` on those of the campaign too, and outages."""

    usual: Mapping[Route, tuple[LabelledPost, ...]]
    campaign: tuple[LabelledPost, ...]
    posts_per_week: float
    campaign_from: datetime
    outages: tuple[datetime, ...]
    """When each began."""

    def between(self, since: datetime, until: datetime) -> Iterator[Arrival]:
        """What comes from `since` on and before `until`, in order."""
        hour = since.replace(minute=0, second=0, microsecond=0)
        while hour < until:
            found = sorted(self._hour(hour), key=lambda each: each.received_at)
            yield from (each for each in found if since <= each.received_at < until)
            hour += HOUR

    def _hour(self, began: datetime) -> Iterator[Arrival]:
        draw = random.Random(f"demo {began.isoformat()}")
        rate = _OF_HOUR[began.hour] * _OF_WEEKDAY[began.weekday()] * self.posts_per_week / _PER_WEEK
        for at in _times(draw, began, began + HOUR, rate / 3_600):
            yield _arrival(draw, at, *self._chosen(draw, at))
        for outage in self.outages:
            before_min = 0
            for until_min, a_minute in _OUTAGE_RATES:
                since, until = (outage + timedelta(minutes=each) for each in (before_min, until_min))
                for at in _times(draw, max(since, began), min(until, began + HOUR), a_minute / 60):
                    yield _arrival(draw, at, *_complaint(draw))
                before_min = until_min

    def _chosen(self, draw: random.Random, at: datetime) -> tuple[Post, str]:
        if self.campaign and at >= self.campaign_from and draw.random() < CAMPAIGN_SHARE:
            chosen = draw.choice(self.campaign)
        else:
            route = draw.choices(list(self.usual), [ROUTE_SHARES[each] for each in self.usual])[0]
            chosen = draw.choice(self.usual[route])
        return _plain(chosen, _other_numbers(draw, chosen.text), _author(draw, chosen.author)), chosen.id


def _plain(labelled: LabelledPost, text: str, author: Author) -> Post:
    """The post without its labels, with that text and author."""
    fields = {name: getattr(labelled, name) for name in Post.model_fields}
    return Post(**fields | {"text": text, "author": author})


def _times(draw: random.Random, since: datetime, until: datetime, a_second: float) -> Iterator[datetime]:
    """Times of a Poisson process."""
    at = since + timedelta(seconds=draw.expovariate(a_second))
    while at < until:
        yield at
        at += timedelta(seconds=draw.expovariate(a_second))


def _arrival(draw: random.Random, at: datetime, post: Post, source: str) -> Arrival:
    waited_s = draw.lognormvariate(0.0, _POSTED_SIGMA) * _POSTED_MEDIAN_S
    prediction_id = str(ULID.from_bytes(round(at.timestamp() * 1_000).to_bytes(6) + draw.randbytes(10)))
    given = {"id": f"{source}/{prediction_id[-8:]}", "posted_at": at - timedelta(seconds=waited_s)}
    return Arrival(at, prediction_id, post.model_copy(update=given))


def _other_numbers(draw: random.Random, text: str) -> str:
    """The text with other numbers of as many digits."""

    def other(found: re.Match[str]) -> str:
        digits = len(found[0])
        return str(draw.randrange(10 ** (digits - 1), 10**digits))

    return _NUMBER.sub(other, text)


def _author(draw: random.Random, author: Author | None) -> Author:
    """The author with an invented name, so that some write again; who is known to many, or by name, stays."""
    handle = author.handle if author else None
    known = author is not None and (author.followers or 0) >= _KNOWN_FOLLOWERS
    if known or (handle and DEFAULT_HANDLES.role(handle)):
        return author or Author()
    # The square makes a few authors write often, as everywhere.
    name = f"demo_{int(_AUTHORS * draw.random() ** 2):04d}"
    return (author or Author()).model_copy(update={"handle": name})


def _complaint(draw: random.Random) -> tuple[Post, str]:
    """What people write while nothing works, in nearly the same words."""
    town, end, minutes = draw.choice(_OUTAGE_TOWNS), draw.choice(_OUTAGE_ENDS), draw.randrange(10, 60)
    text = f"@OrbyMobile no internet at all in {town} for {minutes} minutes now, is the network down for everyone{end}"
    return Post(text=text, platform="x", lang="en", author=_author(draw, None)), OUTAGE_MARK


def feed_of(
    posts: Iterable[LabelledPost],
    campaign: Iterable[LabelledPost],
    *,
    posts_per_week: float,
    campaign_from: datetime,
    outages: tuple[datetime, ...] = (),
) -> Feed:
    """The feed that draws from those posts; where the campaign has none, it does not take place."""
    usual: defaultdict[Route, list[LabelledPost]] = defaultdict(list)
    for post in posts:
        usual[post.route].append(post)
    return Feed(
        usual={route: tuple(each) for route, each in usual.items()},
        campaign=tuple(campaign),
        posts_per_week=posts_per_week,
        campaign_from=campaign_from,
        outages=outages,
    )
