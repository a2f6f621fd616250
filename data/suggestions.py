"""What a model says of posts, as a file: one JSON object a line, by id. Owns that format, and knows no model.

The lines are answers of `POST /v1/predict` with their `id`, or what `python -m evaluation predict` writes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.rejects import SourceError, problems_of

Probability = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    # An answer of the server holds more than is read here.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Alternative(_Part):
    """One of the likeliest labels."""

    label: str
    probability: Probability


class Said(_Part):
    """One label with its confidence; `probabilities` of all labels where they are known."""

    label: str
    confidence: Probability
    probabilities: dict[str, Probability] | None = None
    alternatives: tuple[Alternative, ...] = ()


class Versions(_Part):
    """Which model said it."""

    model: str = "unknown"


class Suggestion(_Part):
    """What a model says of the post with this id."""

    id: str
    route: Said
    intent: Said
    versions: Versions = Versions()


def read_suggestions(path: Path) -> Mapping[str, Suggestion]:
    """The suggestions of a file by the id of their post.

    Raises:
        SourceError: when the file cannot be read, a line is no suggestion, or an id stands twice.
    """
    found: dict[str, Suggestion] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    _add(found, line, path, number)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SourceError(f"The suggestions {path} could not be read: {reason}. Wanted JSON Lines. Check it.") from None
    return found


def _add(found: dict[str, Suggestion], line: str, path: Path, number: int) -> None:
    try:
        said = Suggestion.model_validate_json(line)
    except ValidationError as error:
        raise SourceError(
            f"{path}, line {number}, {problems_of(error)[0]}; every line is an answer of the server with its id, "
            "or what `python -m evaluation predict` writes"
        ) from None
    if said.id in found:
        raise SourceError(
            f"{path}, line {number}, id: got {said.id!r} a second time; wanted one line a post; remove one of them"
        )
    found[said.id] = said
