"""The temperature of one head, fitted by maximum likelihood. Fits it; `models.calibration` applies it.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599), section 4.2. Fit it on posts that
neither stopped the training nor prove the thresholds: a certificate wants scores that do not know its sample.
"""

import numpy as np
import numpy.typing as npt

from data.dependencies import needs_group
from evaluation.predictions import IntArray
from models.calibration import probabilities

with needs_group("evaluate", "Fitting a temperature"):
    from scipy.optimize import minimize_scalar

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Wide enough for any network that learnt something; a fit that ends at a bound says that something is off."""


def negative_log_likelihood(logits: npt.NDArray[np.floating], labels: IntArray, temperature: float) -> float:
    """The mean of -log p(true label), in nats, of logits `[n, k]` divided by `temperature`; labels `[n]`."""
    true = probabilities(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())


def fit_temperature(logits: npt.NDArray[np.floating], labels: IntArray) -> float:
    """The temperature, 0.05 to 20, at which logits `[n, k]` give the labels `[n]` the greatest likelihood.

    Raises:
        ValueError: when there is no post, or the two differ in length.
    """
    if not len(logits) or len(logits) != len(labels):
        raise ValueError(
            f"A temperature was to be fitted on {len(logits)} rows of logits and {len(labels)} labels; "
            "wanted one label per row, and at least one row. Give the logits and labels of the same posts."
        )
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))
