"""The margins of the gate: one frozen value, every number with its origin. A TOML file may state others.

Stated before anything is compared. A margin is how much worse a challenger may be in the worst case that the posts
leave open: the end of the 95 % interval, not the difference itself, has to stay within it (non-inferiority at 2.5 %
one-sided, as ICH E9, section 3.3.2). A challenger that is no better at all may so be refused: nothing is lost with it.
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class GateError(ValueError):
    """A file of margins that cannot be used."""


class Gate(BaseModel):
    """How much worse than the champion a challenger may be."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_accuracy_loss: Share = 0.02
    """Of routes. The least by which a fine-tuned model must beat TF-IDF (`tests/behaviour/test_shipped_bundle.py`): a
    challenger may not spend the whole lead."""
    max_macro_f1_loss: Share = 0.02
    """Of routes, as accuracy."""
    max_intent_accuracy_loss: Share = 0.03
    """Where both have the same intents. Careful readers differ on 12 % (docs/decisions/0009): a quarter of that."""
    max_augrc_rise: Share = 0.01
    """A fifth of the 0.047 of the first bundle; it is the error that is left when unsure posts are given away."""
    max_automatic_share_loss: Share = 0.03
    """A quarter of the 11 % that the first bundle closes. What a champion does not close cannot be lost."""
    max_brier_rise: Annotated[float, Field(ge=0.0, le=2.0)] = 0.02
    """Of the 0.266 of the first bundle: as accuracy, in the unit of the probabilities."""
    max_calibration_error: Share = 0.05
    """ECE of the routes, 15 bins of equal mass. Twice the 0.028 of the first bundle, rounded down."""
    significance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Of the exact tests that show harm: McNemar over all posts, and over slices (Holm)."""
    max_latency_ratio: Annotated[float, Field(gt=0.0)] = 1.25
    """Of the time for a post. A quarter more means a fifth fewer posts from the same cores."""


def read_gate(path: Path) -> Gate:
    """The margins in a TOML file; what it does not state is as shipped.

    Raises:
        GateError: when it cannot be read, is not TOML, or a field does not fit.
    """
    try:
        return Gate.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        got = error.strerror or "nothing"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        got = f"it is not TOML in UTF-8: {error}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, first['loc']))} is {first['input']!r:.60}, {first['msg']}"
    raise GateError(
        f"The margins {path} cannot be used: {got}. Wanted some of: {', '.join(Gate.model_fields)}. Correct that line."
    )
