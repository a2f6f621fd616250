"""Logits to probabilities: rows that sum to 1, an order that no temperature changes."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from models.calibration import Calibration, probabilities

logits = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 21)), elements=st.floats(-60, 60, width=32))
temperatures = st.floats(0.05, 20)


@given(logits=logits, temperature=temperatures)
def test_each_row_is_a_distribution(logits: npt.NDArray[np.float32], temperature: float) -> None:
    rows = probabilities(logits, temperature)
    assert rows.shape == logits.shape
    assert ((rows >= 0) & (rows <= 1)).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=0, atol=1e-12)


@given(logits=logits, temperature=temperatures)
def test_a_temperature_never_changes_the_order(logits: npt.NDArray[np.float32], temperature: float) -> None:
    rows = probabilities(logits, temperature)
    for values, row in zip(logits, rows, strict=True):
        assert (np.diff(row[np.argsort(values, kind="stable")]) >= 0).all()


@given(logits=logits, cold=temperatures, warm=temperatures)
def test_a_higher_temperature_is_never_surer(logits: npt.NDArray[np.float32], cold: float, warm: float) -> None:
    cold, warm = sorted((cold, warm))
    surer, unsurer = probabilities(logits, cold).max(axis=1), probabilities(logits, warm).max(axis=1)
    assert (unsurer <= surer + 1e-12).all()


def test_a_temperature_of_two_halves_the_logits() -> None:
    rows = probabilities(np.array([[2.0, 0.0]], dtype=np.float32), 2.0)
    np.testing.assert_allclose(rows, [[np.e / (np.e + 1), 1 / (np.e + 1)]])


def test_logits_far_beyond_the_range_of_exp_stay_finite() -> None:
    rows = probabilities(np.array([[1e30, -1e30, 0.0]], dtype=np.float32), 0.5)
    np.testing.assert_array_equal(rows, [[1.0, 0.0, 0.0]])


def test_no_posts_give_no_rows() -> None:
    assert probabilities(np.empty((0, 4), dtype=np.float32), 1.0).shape == (0, 4)


@given(logits=logits)
def test_a_row_does_not_depend_on_the_rows_beside_it(logits: npt.NDArray[np.float32]) -> None:
    together = probabilities(logits, 1.7)
    alone = np.concatenate([probabilities(logits[row : row + 1], 1.7) for row in range(len(logits))])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_that_is_no_positive_number_is_refused(temperature: float) -> None:
    with pytest.raises(ValidationError, match="route_temperature"):
        Calibration(route_temperature=temperature)
