"""Raw logits to probabilities: one temperature per head. Applies it; `evaluation.temperature` fits it.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599), section 4.2.
"""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

FloatArray = npt.NDArray[np.float64]
Temperature = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Calibration(BaseModel):
    """The temperatures by which the logits of each head are divided before the softmax."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    route_temperature: Temperature = 1.0
    intent_temperature: Temperature = 1.0


def probabilities(logits: npt.NDArray[np.floating], temperature: float) -> FloatArray:
    """Calibrated probabilities `[n, k]`, each row summing to 1, from logits `[n, k]`."""
    scaled = logits.astype(np.float64) / temperature
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float64)
