"""What a search may change: fields of a recipe by their dotted name, each with a range or choices; a small TOML file.

Every bound and choice is tried in the recipe itself, so that a search never begins that would end in a refusal.
"""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from training.errors import SpaceError
from training.recipe import Recipe

Value: TypeAlias = bool | int | float | str
FIXED = ("name", "seed", "precision", "data", "encoder", "budget", "gates")
"""A seed is not searched for, that would be luck; the others change the question or nothing that is measured."""
_ASKED_BY = ("distillation.teacher", "distillation.temperature", "distillation.unlabelled")
"""A file of answers is of one teacher, asked at one temperature about some posts: no trial could use another."""
_EXAMPLE = "finetune.learning_rate = { low = 2e-5, high = 3e-4, log = true }"


class Range(BaseModel):
    """Numbers from `low` to `high`, both among them; whole ones where both are. `log` searches by factors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, high {self.high}; wanted low < high")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; wanted above 0 where log = true")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """What is tried in the recipe."""
        return self.low, self.high

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Choices(BaseModel):
    """One of these."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    choices: tuple[Value, ...]

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, values: Any) -> Any:
        choices = values.get("choices") if isinstance(values, dict) else None
        if not isinstance(choices, list) or len(choices) < 2:
            raise ValueError(f"choices is {choices!r:.60}; wanted a list of at least two")
        return values | {"choices": tuple(choices)}

    @property
    def ends(self) -> tuple[Value, ...]:
        """What is tried in the recipe."""
        return self.choices

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Space: TypeAlias = Mapping[str, Range | Choices]


def value_at(recipe: Recipe, field: str) -> object:
    """The value of a field by its dotted name."""
    value: object = recipe
    for name in field.split("."):
        value = getattr(value, name)
    return value


def changed(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """The recipe with other values in fields by their dotted names.

    Raises:
        ValidationError: when the recipe refuses a value.
    """
    content: dict[str, Any] = recipe.model_dump()
    for field, value in values.items():
        *sections, name = field.split(".")
        section = content
        for each in sections:
            section = section[each]
        section[name] = value
    return Recipe.model_validate(content)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict) and not {"low", "high", "choices"} & value.keys():
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _fields(model: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _said(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors(include_url=False)
    )


def _read_field(path: Path, field: str, content: object, recipe: Recipe) -> Range | Choices:
    answers = recipe.distillation.elsewhere
    fixed_fields = FIXED if answers is None or not answers.is_file() else FIXED + _ASKED_BY
    known = [name for name in _fields(recipe) if not {name, name.partition(".")[0]} & set(fixed_fields)]
    if field not in known:
        near = get_close_matches(field, known, n=1, cutoff=0.0)[0]
        fixed = " It is not a search's to change." if {field, field.partition(".")[0]} & set(fixed_fields) else ""
        raise SpaceError(
            f"The space {path} does not fit: {field} is no field of a recipe that may be searched.{fixed} Wanted "
            f"one of {', '.join(known)}. The nearest is {near}."
        )
    kind = Choices if isinstance(content, dict) and "choices" in content else Range
    try:
        read = kind.model_validate(content)
        for value in read.ends:
            changed(recipe, {field: value})
    except ValidationError as error:
        raise SpaceError(
            f"The space {path} does not fit: {field} is {content!r:.80}: {_said(error)}. Wanted a range that the "
            f"recipe allows, such as {_EXAMPLE}, or {field} = {{ choices = [...] }}."
        ) from None
    return read


def read_space(path: Path, recipe: Recipe) -> dict[str, Range | Choices]:
    """What the file at `path` lets a search change in `recipe`, by dotted name.

    Raises:
        SpaceError: when it is missing, not TOML or empty, names an unknown field, or a value that the recipe refuses.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError(
            f"The space {path} could not be read: {error.strerror}. Wanted a TOML file. "
            "Start from training/recipes/space.toml."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"The space {path} is not TOML: {error}. Wanted lines such as {_EXAMPLE}.") from None
    space = {field: _read_field(path, field, value, recipe) for field, value in _flat(content)}
    if not space:
        raise SpaceError(f"The space {path} names no field. Wanted at least one, such as {_EXAMPLE}.")
    return space
