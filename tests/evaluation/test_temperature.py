import numpy as np
import pytest

from evaluation.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature, negative_log_likelihood
from models.calibration import probabilities


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("classes", [4, 21])
def test_a_known_temperature_is_found_again(temperature: float, classes: int) -> None:
    random = np.random.default_rng(7)
    logits = random.normal(scale=3, size=(20_000, classes)).astype(np.float32)
    truth = probabilities(logits, temperature)
    labels = (truth.cumsum(axis=1) > random.uniform(size=(20_000, 1))).argmax(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_gives_a_greater_likelihood() -> None:
    random = np.random.default_rng(8)
    labels = random.integers(4, size=300)
    logits = random.normal(scale=2, size=(300, 4)) + 2 * np.eye(4)[labels]
    found = fit_temperature(logits, labels)
    best = negative_log_likelihood(logits, labels, found)
    for other in np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 50):
        assert negative_log_likelihood(logits, labels, float(other)) >= best - 1e-9


@pytest.mark.parametrize(("rows", "labels"), [(0, 0), (3, 2)])
def test_nothing_or_unequal_input_is_refused(rows: int, labels: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} rows of logits and {labels} labels; wanted one label per row"):
        fit_temperature(np.zeros((rows, 4)), np.zeros(labels, dtype=np.int64))
