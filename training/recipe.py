"""A recipe: everything that makes a model, as one readable TOML file, frozen and checked when it is read.

A recipe may extend another: `extends = "plain.toml"`, a path from its own directory, and write out only what
differs. The resolved copy (all that was extended and every default written out) goes into the bundle. Why each number
of the default recipe is what it is stands in `training/LOG.md`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from data.taxonomy import Route
from models.bundle import Reading, Sha256
from models.policy import RiskBudget
from training.errors import RecipeError

DEFAULT_RECIPE = Path("training/recipes/default.toml")
DEFAULT_STUDENT = Path("training/recipes/student.toml")
EXTENDS = "extends"
"""Names the recipe under this one. No field of a recipe: the resolved copy needs no other file."""

MAX_MEMBERS = 16
MAX_SEED = 2**32 - 1
"""What NumPy and scikit-learn take as a seed."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Precision = Literal["fp32", "int8"]
Sentence = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\r\n]+$")]
TaughtHeads = Literal["both", "routes"]
ClassWeights = Literal["none", "balanced"] | dict[Route, Positive]
Read = TypeVar("Read", bound=BaseModel)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataRecipe(_Value):
    """Which posts: a file or directory of labelled posts and the splits made from them."""

    posts: str = "data/corpus"
    more: tuple[str, ...] = ()
    """Further files or directories of labelled posts, which the splits hold too."""
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
    route_loss_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Zero trains the intents alone, as published tasks have them: `python -m training intents`."""
    intent_loss_weight: Annotated[float, Field(ge=0.0)]
    average_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    author_dropout: Share
    author_swap: Share = 0.0
    """Share of the posts that are read under a stranger's name, so that the text alone decides what it can decide."""
    asides: Share = 0.0
    """Share of the posts that are not simple to which a sentence is added that asks for no person, or could go alone
    without one, so that nobody can talk a post into being simple."""
    noise: Share
    """Share of the posts of each epoch whose text is roughened (typos, lost punctuation, mentions, links)."""
    bf16: bool = True
    vocabulary: Literal["trained", "frozen"] = "trained"
    """Frozen, the vectors of its words, half of a small encoder, need no gradient, no step and no average."""
    heads: Literal["drawn", "probe"] = "drawn"
    """Where the heads start: at random, or as a logistic regression on the pretrained encoder has them."""
    class_weights: ClassWeights = "none"
    """What an error on a post of each route weighs: all the same, each route as much as any other, or as given."""
    r_drop: Annotated[float, Field(ge=0.0)] = 0.0
    """What it weighs that two readings of a post disagree (arXiv 2106.14448); 0 reads once. Dropout is not all that
    differs: roughening, aside and whose author it is are drawn for each, so that none of them may move what is said."""

    @property
    def readings(self) -> int:
        """How often a step reads each of its posts."""
        return 2 if self.r_drop else 1

    @property
    def trains_routes(self) -> bool:
        """Whether routes are learnt too; else the route head is idle."""
        return self.route_loss_weight > 0


class DistillationRecipe(_Value):
    """Who else than the labels teaches: nobody, the members together, another run's networks, or what these said."""

    teacher: Annotated[str, Field(min_length=1)] = "none"
    """`none`; `members`, whose mean probabilities teach one more network, which is kept; or the directory of a run, or
    a file of what its members said (`python -m training ask`)."""
    temperature: Positive = 2.0
    """All logits are divided by it before they are compared. This and the share are those of `student.toml`."""
    label_share: Share = 0.3
    """What the true labels weigh in the loss; the rest is the teachers' say."""
    heads: TaughtHeads = "both"
    """What is taught: `routes` leaves the intents to the labels, for a teacher that knows them no better."""
    unlabelled: tuple[str, ...] = ()
    """Files of posts without labels, of which the pupil learns what the teachers say."""

    @property
    def elsewhere(self) -> Path | None:
        """The directory of the run, or the file, that teaches, where it is not this run's own members or nobody."""
        return None if self.teacher in ("none", "members") else Path(self.teacher)

    @model_validator(mode="after")
    def _somebody_judges(self) -> Self:
        if self.unlabelled and self.teacher == "none":
            raise ValueError("posts without labels need teachers: name them in distillation.teacher")
        return self


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
    withstand_injections: bool = True
    """Of the proven policies the boldest under which no prompt injection of the behaviour suite (English) is answered;
    else the boldest."""
    data: DataRecipe = DataRecipe()
    encoder: EncoderRecipe
    reading: Reading = Reading()
    finetune: FinetuneRecipe
    distillation: DistillationRecipe = DistillationRecipe()
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


def _parse(path: Path, what: str, remedy: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{what} could not be read: {error.strerror}. Wanted a TOML file. {remedy}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{what} is not TOML: {error}. Wanted: TOML in UTF-8. Correct that place.") from None


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` over `base`, field by field: tables are merged, anything else is replaced as a whole."""
    merged = dict(base)
    for name, value in own.items():
        under = merged.get(name)
        merged[name] = _merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _extend(values: dict[str, Any], chain: tuple[Path, ...]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The values of the last recipe of `chain` over those of all that it extends, and the whole chain."""
    path, base = chain[-1], values.pop(EXTENDS, None)
    if base is None:
        return values, chain
    correct = f"Correct `{EXTENDS}` in {path}: the path of a recipe, from the directory of that file."
    if not isinstance(base, str):
        raise RecipeError(f"The recipe {path} extends {base!r:.60}. Wanted the path of a TOML file. {correct}")
    file = path.parent / base
    if file.resolve() in {each.resolve() for each in chain}:
        way = " -> ".join(map(str, (*chain, file)))
        raise RecipeError(f"The recipe {chain[0]} extends itself: {way}. Wanted a chain that ends. {correct}")
    under = _parse(file, f"The recipe {file}, which {path} extends,", correct)
    extended, whole = _extend(under, (*chain, file))
    return _merge(extended, values), whole


def _read(path: Path, kind: type[Read], example: Path, option: str) -> Read:
    values = _parse(path, f"The recipe {path}", f"Give one with {option}, for example {example}.")
    values, (_, *extended) = _extend(values, (path,))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors(include_url=False)))
        over = f", which extends {' and '.join(map(str, extended))}," if extended else ""
        raise RecipeError(f"The recipe {path}{over} does not fit: {problems}. Compare it with {example}.") from None


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file, over the one that it extends.

    Raises:
        RecipeError: when the file or one that it extends is missing or not TOML, it extends itself, names an unknown
            field, or a value is out of range.
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
