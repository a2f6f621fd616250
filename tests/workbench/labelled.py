"""Labelled files for the tests of the confusion page, and how a test has them scored."""

import re
from pathlib import Path
from time import monotonic

from starlette.testclient import TestClient

from data.sources import write_labelled
from tests.evaluation.populations import labelled_post, labelled_posts
from tests.serving.clients import WAIT_S
from tests.workbench.signing import token_for

HOSTILE = 'my parcel </script><img src=x onerror="document.title=1"> call +44 20 7946 0958'
POSTS = "posts.jsonl"
PATH = "/qa/confusion"


def write_posts(directory: Path) -> Path:
    """The directory, with a file of 102 posts in it, some of which the fake predictor gets wrong."""
    directory.mkdir(exist_ok=True)
    dated = labelled_post(
        900, ("where do I track my parcel", "simple", "order_status"), posted_at="2026-11-01T09:00:00Z"
    )
    hostile = labelled_post(990, (HOSTILE, "sensitive", "privacy_data"))
    write_labelled(directory / POSTS, [*labelled_posts(12, 1), dated, hostile][:103])
    return directory


def score(client: TestClient, **asked: str) -> dict[str, str]:
    """The question, once all that it needs has been scored."""
    question = {"posts": POSTS, "bundle": "in service", **asked}
    begun = client.post(f"{PATH}/score", data={"csrf": token_for(client), **question})
    assert begun.status_code == 303, begun.text
    until = monotonic() + WAIT_S
    while client.get(f"{PATH}/progress", params=question).status_code != 204:
        assert monotonic() < until
    return question


def cell(page: str, truth: str, said: str) -> int:
    """How many posts a cell of a matrix on a page has."""
    found = re.search(rf'aria-label="truly {truth}, said {said}: (\d+) posts', page)
    return int(found.group(1)) if found else 0
