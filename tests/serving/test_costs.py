import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.costs import CostModel

LENGTHS = (9, 17, 33, 60, 120, 250, 1_000, 2_048)


def line(fixed_s: float, token_s: float) -> CostModel:
    """A model whose warm-up measured just this."""
    return CostModel((10, fixed_s + 10 * token_s), (250, fixed_s + 250 * token_s))


def teach(model: CostModel, fixed_s: float, token_s: float, posts: int, lengths: Sequence[int], noise: float) -> None:
    draw = random.Random(1)
    for _ in range(posts):
        tokens = draw.choice(lengths)
        model.observe(tokens, (fixed_s + token_s * tokens) * draw.uniform(1 - noise, 1 + noise))


def test_it_starts_with_what_the_warm_up_measured() -> None:
    model = CostModel((10, 0.003), (110, 0.023))
    assert model.seconds(10) == pytest.approx(0.003)
    assert model.seconds(60) == pytest.approx(0.013)


@given(
    fixed_s=st.floats(1e-4, 0.01),
    token_s=st.floats(1e-5, 0.001),
    factor=st.sampled_from([0.05, 0.5, 1.0, 3.0, 20.0]),
    noise=st.sampled_from([0.0, 0.2]),
)
def test_it_converges_to_what_posts_really_take(fixed_s: float, token_s: float, factor: float, noise: float) -> None:
    model = line(fixed_s * factor, token_s * factor)
    teach(model, fixed_s, token_s, 1_000, LENGTHS, noise)
    for tokens in LENGTHS:
        assert model.seconds(tokens) == pytest.approx(fixed_s + token_s * tokens, rel=0.02 + noise)


def test_it_knows_what_posts_took_of_late() -> None:
    model = line(0.001, 0.0001)
    assert model.typical_s == pytest.approx(0.002)
    teach(model, 0.001, 0.0001, 1_000, [100], 0.0)
    assert model.typical_s == pytest.approx(0.011, rel=0.01)


def test_it_learns_the_slope_where_the_warm_up_saw_none() -> None:
    model = CostModel((10, 0.004), (250, 0.004))
    teach(model, 0.001, 0.0002, 1_000, LENGTHS, 0.1)
    assert model.seconds(2_048) == pytest.approx(0.001 + 0.0002 * 2_048, rel=0.1)


def test_where_all_posts_are_of_one_length_the_others_keep_their_proportion() -> None:
    model = line(0.001, 0.0001)
    teach(model, 0.003, 0.0003, 1_000, [33], 0.0)
    assert model.seconds(33) == pytest.approx(0.003 + 33 * 0.0003, rel=0.01)
    assert model.seconds(330) == pytest.approx(0.003 + 330 * 0.0003, rel=0.1)


def test_a_pause_of_the_machine_moves_it_little() -> None:
    model = line(0.001, 0.0001)
    teach(model, 0.001, 0.0001, 200, LENGTHS, 0.0)
    before = model.seconds(33)
    model.observe(33, 60.0)
    assert before < model.seconds(33) < 1.1 * before


@given(
    seen=st.lists(st.tuples(st.integers(0, 4_096), st.floats(0.0, 1e4)), max_size=60),
    short_s=st.floats(0.0, 10.0),
    long_s=st.floats(0.0, 10.0),
)
def test_what_it_foretells_is_above_zero_finite_and_grows_with_the_tokens(
    seen: list[tuple[int, float]], short_s: float, long_s: float
) -> None:
    model = CostModel((8, short_s), (300, long_s))
    for tokens, seconds in seen:
        model.observe(tokens, seconds)
    assert 0.0 < model.seconds(0) <= model.seconds(8) <= model.seconds(4_096) < float("inf")
