"""What the intent benchmark found: the values of `intents.json`. A field's description is its documentation."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from data.output import whole_file
from evaluation.benchmarks.intents.scoring import Scored

FORMAT: Literal["1"] = "1"


class ResultsError(ValueError):
    """A file that holds no results of this benchmark."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Value):
    """One method on one set with one seed."""

    set: str = Field(description="which set, and of HINT3 which bot")
    method: str = Field(description="who learnt it")
    seed: int = Field(description="of all that is drawn at random")
    seconds: float = Field(description="training and answering, on the machine named above")
    scored: Scored = Field(description="what it came to")


class Missing(_Value):
    """A method that was not measured on a set."""

    set: str = Field(description="which set")
    method: str = Field(description="which method")
    seed: int = Field(description="which seed")
    reason: str = Field(description="why there is no figure")


class Size(_Value):
    """How many texts a set has."""

    set: str = Field(description="which set")
    sha256: str = Field(description="of its texts as they were trained on")
    intents: int = Field(description="in its training part")
    train: int = Field(description="texts that are trained on")
    development: int = Field(description="texts by which epochs and thresholds are chosen")
    test: int = Field(description="texts in scope that are measured")
    out_of_scope: int = Field(description="texts out of scope that are measured")


class Results(_Value):
    """A whole run."""

    format: Literal["1"] = Field(default=FORMAT, description="of this file")
    made_at: AwareDatetime = Field(description="when the run ended")
    git_commit: str = Field(description="what was checked out")
    machine: str = Field(description="processor and cores")
    sizes: tuple[Size, ...] = Field(description="the sets")
    cells: tuple[Cell, ...] = Field(description="what was measured")
    missing: tuple[Missing, ...] = Field(description="what was not, and why")


def write_results(path: Path, results: Results) -> None:
    """Nothing; the file holds these results, or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(results.model_dump_json(indent=2) + "\n")


def read_results(path: Path) -> Results:
    """The results in a file.

    Raises:
        ResultsError: when it is missing or holds something else.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} values do not fit"
        raise ResultsError(
            f"{path} holds no results: {reason}. Wanted what a run leaves. "
            "Make it: python -m evaluation.benchmarks.intents run --data DIR."
        ) from None
