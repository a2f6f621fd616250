"""The drills, shortened: every post is accounted for, whatever is done to the server meanwhile."""

from pathlib import Path

import pytest

from data.post import Post
from tests.load.drills import DRILLS, make_place
from tests.load.posting import corpus_posts

SECONDS = 6.0


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return corpus_posts()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DRILLS))
def test_every_post_is_accounted_for(name: str, posts: list[Post], tmp_path: Path) -> None:
    report, passed = DRILLS[name](make_place(tmp_path), posts, SECONDS)
    assert passed, report
    assert report["answered"] > 0
