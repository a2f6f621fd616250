"""Classifiers take turns, each post is answered and timed once, and two posts are in flight where two threads are."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data.rendering import render
from data.splits import Splits
from models.classifier import Classifier, Encoded, Logits
from tests.training.tiny_encoder import READING
from training.turns import THREADS, TURN_POSTS, run_in_turns, run_on_threads

POSTS = 2 * TURN_POSTS + 3


class FakeClassifier(Classifier):
    """Answers at once with its own number and the length of the post, and notes who was asked, and with how many."""

    def __init__(self, number: int, asked: list[int]) -> None:
        self.number, self.asked = number, asked

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        self.asked.append(self.number)
        (post,) = posts
        return Logits(
            route=np.full((1, 4), self.number, dtype=np.float32), intent=np.full((1, 21), post.tokens, dtype=np.float32)
        )


@pytest.fixture(scope="module")
def posts(fp32: Path, encoder: Path, splits: Splits) -> list[Encoded]:
    reader = Classifier(fp32, encoder / "tokenizer.json", READING)
    return [reader.encode(render(post)) for post in splits.posts[:POSTS]]


def test_classifiers_take_turns_on_some_dozens_of_posts(posts: list[Encoded]) -> None:
    asked: list[int] = []
    answers = run_in_turns([FakeClassifier(0, asked), FakeClassifier(1, asked)], posts)
    turns = (TURN_POSTS, TURN_POSTS, 3)
    assert asked == [number for turn in turns for number in (0, 1) for _ in range(1 + turn)]  # one more to warm up
    for number, (said, took_ms) in enumerate(answers):
        assert said.route[:, 0].tolist() == [number] * POSTS
        assert said.intent[:, 0].tolist() == [post.tokens for post in posts]
        assert took_ms.shape == (POSTS,)
        assert (took_ms > 0).all()


def test_on_threads_every_post_is_answered_in_order(posts: list[Encoded]) -> None:
    asked: list[int] = []
    answers = run_on_threads([FakeClassifier(0, asked), FakeClassifier(1, asked)], posts)
    for number, (said, posts_per_s) in enumerate(answers):
        assert asked.count(number) == POSTS + 3 * THREADS
        assert said.route[:, 0].tolist() == [number] * POSTS
        assert said.intent[:, 0].tolist() == [post.tokens for post in posts]
        assert posts_per_s > 0


class MeetingClassifier(FakeClassifier):
    """Answers only when as many posts are in flight as there are threads."""

    def __init__(self) -> None:
        super().__init__(0, [])
        self.meeting = threading.Barrier(THREADS, timeout=60)

    def logits(self, posts: Sequence[Encoded]) -> Logits:
        self.meeting.wait()
        return super().logits(posts)


def test_on_threads_so_many_posts_are_in_flight(posts: list[Encoded]) -> None:
    ((said, _),) = run_on_threads([MeetingClassifier()], posts[: 2 * THREADS])
    assert len(said.route) == 2 * THREADS
