"""How a test watches the cockpit's stream over a real connection, and what a journal has that is worth watching."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from serving.journal.store import open_store
from tests.serving.clients import WAIT_S
from tests.serving.desks import made
from tests.serving.journals import address_of
from tests.workbench.signing import token_in

STREAM = "/qa/cockpit/stream"
Events = Iterator[tuple[str, Any]]


def signed_in(address: str, key: str = "Ada") -> httpx.Client:
    """A client with a session of a real server."""
    client = httpx.Client(base_url=address, timeout=WAIT_S)
    token = token_in(client.get("/qa/login").text)
    assert client.post("/qa/login", data={"csrf": token, "key": key, "next": "/qa"}).status_code == 303
    return client


@contextmanager
def watched(client: httpx.Client, **asked: str) -> Iterator[Events]:
    """The events of a stream, each its name and its data, until its end."""
    with client.stream("GET", STREAM, params=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Events:
    name = ""
    for line in answer.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def fill_weeks(path: Path, now: datetime, *, weeks: int, an_hour: int, now_posts: int = 0) -> None:
    """A journal with as many posts in this hour of so many weeks, and `now_posts` that say the same just now."""
    entries = []
    for week in range(weeks + 1):
        for number in range(an_hour):
            at = now - timedelta(weeks=week, seconds=5 + number)
            entries.append(made(10_000 * (week + 1) + number, f"where is parcel {'x' * number} of {'y' * week}?", at))
    entries += [made(n, "your app is down again and again", now - timedelta(seconds=n)) for n in range(now_posts)]
    if weeks:
        entries.append(made(9_999, "hello", now - timedelta(weeks=weeks, days=2)))
    with closing(open_store(address_of(path))) as store:
        store.write([replace(each, latency_ms=7.0) for each in entries])
