"""A recipe: everything that makes a model, as one readable TOML file, frozen and checked when it is read.

The resolved copy (every default written out) goes into the bundle. Why each number of the default recipe is what
it is stands in `training/LOG.md`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from models.bundle import Reading, Sha256
from models.policy import RiskBudget
from training.errors import RecipeError

DEFAULT_RECIPE = Path("training/recipes/default.toml")
DEFAULT_STUDENT = Path("training/recipes/student.toml")

MAX_MEMBERS = 16
MAX_SEED = 2**32 - 1
"""What NumPy and scikit-learn take as a seed."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Precision = Literal["fp32", "int8"]
Sentence = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\r\n]+$")]
Read = TypeVar("Read", bound=BaseModel)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataRecipe(_Value):
    """Which posts: a file or directory of labelled posts and the splits made from them."""

    posts: str = "data/corpus"
    splits: str = "data/corpus/splits.json"
    taxonomy: str | None = None
    """A file with intents of your own, by which the posts are labelled; without one the built-in intents."""
    origin: Sentence = "of unstated origin"
    """Completes the card's "trained on 6,605 of 8,940 posts, ...": where they come from, under which licence."""
    limits: tuple[Sentence, ...] = ()
    """What these posts cannot teach, one sentence each, for the card."""


class EncoderRecipe(_Value):
    """Which pretrained encoder. `directory` is used first where given; then the hub's cache, the package, the hub."""

    name: str = "sentence-transformers/all-MiniLM-L6-v2"
    licence: Sentence = "licence not stated"
    sha256: Sha256
    directory: str | None = None


class FinetuneRecipe(_Value):
    """How the encoder and both heads are trained."""

    members: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 1
    """Trainings from the same start whose weights are averaged."""
    epochs: Count
    patience_epochs: Count
    batch_posts: Count
    learning_rate: Positive
    head_learning_rate_factor: Positive
    weight_decay: Annotated[float, Field(ge=0.0)]
    warmup_share: Share
    gradient_norm: Positive
    dropout: Share
    intent_loss_weight: Annotated[float, Field(ge=0.0)]
    average_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    author_dropout: Share
    noise: Share
    """Share of the posts of each epoch whose text is roughened (typos, lost punctuation, mentions, links)."""
    bf16: bool = True
    vocabulary: Literal["trained", "frozen"] = "trained"
    """Frozen, the vectors of its words, half of a small encoder, need no gradient, no step and no average."""


class Gates(_Value):
    """What the exported model must hold against the trained one on the development split. Points are per cent."""

    max_fp32_difference: Positive = 1e-4
    max_macro_f1_loss_points: Annotated[float, Field(ge=0.0)] = 0.3
    max_augrc_loss_points: Annotated[float, Field(ge=0.0)] = 0.3
    max_route_flips_share: Share = 0.02


class Recipe(_Value):
    """Everything that makes a model."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    precision: Precision = "int8"
    data: DataRecipe = DataRecipe()
    encoder: EncoderRecipe
    reading: Reading = Reading()
    finetune: FinetuneRecipe
    budget: RiskBudget = RiskBudget()
    gates: Gates = Gates()


class StudentRecipe(_Value):
    """How a smaller network is made of a trained one; whatever is not here is as in the recipe of that one."""

    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Which layers of the trained network it starts from, counted from 0, lowest first."""
    epochs: Count
    learning_rate: Positive
    temperature: Positive
    """Both networks' logits are divided by it before they are compared."""
    label_share: Share
    """What the true labels weigh in the loss; the rest is the trained network's say."""


def _problem(error: ErrorDetails) -> str:
    field = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{field} is missing"
    return f"{field} is {error['input']!r:.60}, {error['msg'][:1].lower()}{error['msg'][1:]}"


def _read(path: Path, kind: type[Read], example: Path, option: str) -> Read:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return kind.model_validate(values)
    except OSError as error:
        raise RecipeError(
            f"The recipe {path} could not be read: {error.strerror}. Wanted a TOML file. "
            f"Give one with {option}, for example {example}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"The recipe {path} is not TOML: {error}. Wanted: TOML in UTF-8. Correct that place."
        ) from None
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors(include_url=False)))
        raise RecipeError(f"The recipe {path} does not fit: {problems}. Compare it with {example}.") from None


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        RecipeError: when the file is missing or not TOML, names an unknown field, or a value is out of range.
    """
    return _read(path, Recipe, DEFAULT_RECIPE, "--recipe")


def read_student_recipe(path: Path) -> StudentRecipe:
    """The recipe of a student in a TOML file.

    Raises:
        RecipeError: as `read_recipe`.
    """
    return _read(path, StudentRecipe, DEFAULT_STUDENT, "--student-recipe")


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML: every field written out, so that it reads back as the same recipe."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
