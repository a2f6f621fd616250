import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.rendering import Rendered
from models.predictor import Probabilities
from serving.cache import Cache, Inference, key_of
from serving.lanes import Lane, Lanes, Task, Ticket
from serving.settings import Settings


def probabilities(value: float = 0.5) -> Probabilities:
    return Probabilities(np.full(4, value), np.full(21, value))


def key(number: int) -> bytes:
    return key_of(Rendered(text=str(number), context="x"))


class Floor:
    """Lanes of one worker with a cache before them, as the engine has them."""

    def __init__(self, posts: int = 10) -> None:
        self.evicted = 0
        self.cache = Cache(posts, self._evict)
        self.lanes = Lanes(workers=1, queue_posts=1_000, now=0.0, unrun=lambda _: None)

    def _evict(self) -> None:
        self.evicted += 1

    def expect(self, key: bytes, task: Inference) -> Ticket:
        ticket = Ticket([task], Lane.INTERACTIVE, 1e9, lambda: None)
        self.lanes.submit(ticket, 0.0)
        self.cache.expect(key, task)
        return ticket

    def run(self) -> None:
        task = self.lanes.take(0.0)
        assert task is not None
        task.run()
        self.lanes.finish(task, 0.0)

    def keep(self, key: bytes, found: Probabilities) -> None:
        task = Task(lambda: found, 0.0)
        self.expect(key, task)
        self.run()
        self.cache.settle(key, task)


def test_what_was_found_once_is_found_again_as_the_same_bytes() -> None:
    floor, found = Floor(), probabilities(0.123)
    assert floor.cache.find(key(1)) is None
    floor.keep(key(1), found)
    assert floor.cache.find(key(1)) is found
    assert len(floor.cache) == 1


def test_a_post_that_runs_already_is_joined_and_forgotten_once_it_is_known() -> None:
    floor, found = Floor(), probabilities()
    task = Task(lambda: found, 0.0)
    floor.expect(key(1), task)
    assert floor.cache.find(key(1)) is task
    floor.cache.settle(key(1), task)  # one who leaves while another waits
    assert floor.cache.find(key(1)) is task
    floor.run()
    floor.cache.settle(key(1), task)
    floor.cache.settle(key(1), task)
    assert floor.cache.find(key(1)) is found


def test_an_inference_that_nobody_waits_for_is_forgotten() -> None:
    floor, task = Floor(), Task(probabilities, 0.0)
    floor.lanes.leave(floor.expect(key(1), task), "abandoned")
    assert floor.cache.find(key(1)) is None
    floor.cache.settle(key(1), task)
    assert floor.cache.find(key(1)) is None
    assert len(floor.cache) == 0


def test_a_failure_is_not_kept() -> None:
    def fail() -> Probabilities:
        raise ValueError("broken")

    floor, task = Floor(), Task(fail, 0.0)
    floor.expect(key(1), task)
    floor.run()
    assert floor.cache.find(key(1)) is None
    floor.cache.settle(key(1), task)
    assert len(floor.cache) == 0


def test_the_post_that_was_asked_for_longest_ago_makes_room() -> None:
    floor = Floor(posts=2)
    floor.keep(key(1), probabilities())
    floor.keep(key(2), probabilities())
    assert floor.cache.find(key(1)) is not None
    floor.keep(key(3), probabilities())
    assert floor.evicted == 1
    assert floor.cache.find(key(2)) is None
    assert floor.cache.find(key(1)) is not None


@given(asked=st.lists(st.integers(0, 12), max_size=80), posts=st.integers(1, 8))
def test_it_never_holds_more_than_it_may_and_counts_who_left(asked: list[int], posts: int) -> None:
    floor = Floor(posts)
    misses = 0
    for number in asked:
        found = floor.cache.find(key(number))
        if isinstance(found, Probabilities):
            assert found.routes[0] == number
        else:
            misses += 1
            floor.keep(key(number), probabilities(float(number)))
        assert len(floor.cache) <= posts
    assert len(floor.cache) + floor.evicted == misses


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b"), ("a", "c")), (("a", "b"), ("c", "b")), (("ab", "c"), ("a", "bc")), (("a", ""), ("", "a"))],
)
def test_another_text_or_another_context_is_another_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert key_of(Rendered(*one)) != key_of(Rendered(*other))
    assert key_of(Rendered(*one)) == key_of(Rendered(*one))


def test_a_full_cache_of_the_default_size_takes_some_ten_megabytes() -> None:
    """The figure of docs/operations.md; a text of any length would not fit into it."""
    posts = Settings.model_fields["cache_posts"].default
    gc.collect()
    tracemalloc.start()
    floor = Floor(posts)
    for number in range(posts):
        floor.keep(key_of(Rendered(text=f"{number} " * 100, context="x")), probabilities())
    used_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(floor.cache) == posts
    assert 500 < used_bytes / posts < 800
