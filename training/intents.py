"""A plain intent task: texts without author or route, one head trained, so that a recipe can be held against others'.

The loop is that of `training.finetune`, the route head idle. No bundle is made: what is left in the run's directory are
weights, the logits of the parts that were held out, and figures. Which texts are turned away is the caller's to say.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.output import whole_file
from data.progress import Watch, unwatched
from data.rendering import Rendered
from data.taxonomy import Intent
from evaluation.metrics import accuracy, macro_f1
from models.bundle import sha256_of
from training.development import Logits, pool_pairs, predict_logits
from training.encoder import find_encoder, read_encoder
from training.errors import RecipeError, TextsError
from training.examples import Encoder, Example
from training.finetune import CHECKPOINT_FILE
from training.members import finetune_examples
from training.network import Network, build_network
from training.recipe import Recipe, recipe_toml
from training.runs import key_of
from training.teaching import find_sources

Part = Literal["train", "development", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
HELD_OUT: tuple[Part, ...] = ("development", "test")
LOGITS_FILE, FIGURES_FILE = "logits.npz", "figures.json"
_NOWHERE = -1
"""The place of a text that has none of the intents."""


class Text(BaseModel):
    """One line of a file of texts. No `intent` means out of scope, which is for the held-out parts alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Part
    text: str = Field(min_length=1)
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class Task:
    """The texts of a file in their order, and the intents that its training part teaches, sorted."""

    texts: tuple[Text, ...]
    intents: tuple[str, ...]
    sha256: str

    def part(self, name: Part) -> list[Text]:
        """The texts of one part."""
        return [text for text in self.texts if text.part == name]

    def places(self, texts: Sequence[Text]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The place `[n]` of each text's intent in the list of intents, -1 where it is out of scope."""
        place = {name: number for number, name in enumerate(self.intents)}
        return np.array([_NOWHERE if text.intent is None else place[text.intent] for text in texts], dtype=np.int64)


def _read_line(path: Path, number: int, line: str) -> Text:
    try:
        return Text.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise TextsError(
            f"{path}, line {number}: {field} does not fit ({first['msg']}). Wanted one JSON object a line with part "
            f"({', '.join(PARTS)}), text and intent (small letters, digits, underscores; null out of scope). "
            "Correct that line."
        ) from None


def _check(path: Path, texts: Sequence[Text], known: set[str]) -> None:
    if len(known) < 2:
        raise TextsError(f"{path} teaches {len(known)} intents in its part train. Wanted two or more. Add texts.")
    for number, text in enumerate(texts, start=1):
        if text.part == "train" and text.intent is None:
            problem = "its part is train and its intent null; wanted out-of-scope texts in development and test alone"
        elif text.intent is not None and text.intent not in known:
            problem = f"intent is {text.intent!r}; wanted one that the part train teaches, or null"
        else:
            continue
        raise TextsError(f"{path}, line {number}: {problem}. Correct that line.")


def read_task(path: Path) -> Task:
    """The texts in a file of JSON Lines.

    Raises:
        TextsError: when a line does not fit, or held-out texts have intents that no training text has.
        OSError: when the file cannot be read.
    """
    content = path.read_bytes()
    try:
        lines = content.decode().removesuffix("\n").split("\n")  # a text may hold other ends of lines
    except UnicodeDecodeError as error:
        raise TextsError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}. Write it again as UTF-8."
        ) from None
    texts = [_read_line(path, number, line) for number, line in enumerate(lines, start=1)]
    known = {text.intent for text in texts if text.part == "train" and text.intent is not None}
    _check(path, texts, known)
    return Task(tuple(texts), tuple(sorted(known)), hashlib.sha256(content).hexdigest())


def task_directory(recipe: Recipe, task: Task, runs: Path) -> Path:
    """Where the run of this recipe on these texts, taught by what its teachers are now, keeps its state.

    Raises:
        RecipeError: when the run that is to teach left no weights.
    """
    made_of = [recipe_toml(recipe), task.sha256, *map(sha256_of, find_sources(recipe.distillation))]
    return runs / f"{recipe.name}-{key_of(*made_of)}"


def _pairs(texts: Sequence[Text]) -> list[Rendered]:
    return [Rendered(text=" ".join(text.text.split()), context="") for text in texts]


def _examples(task: Task, texts: Sequence[Text]) -> tuple[Example, ...]:
    return tuple(
        Example(full=each, anonymous=each, stranger=None, route=0, intent=max(int(place), 0))
        for each, place in zip(_pairs(texts), task.places(texts), strict=True)
    )


def _intent_logits(network: Network, encoder: Encoder, task: Task, part: Part) -> Logits:
    texts = task.part(part)
    if not texts:
        return np.zeros((0, len(task.intents)), dtype=np.float32)
    return predict_logits(network, encoder, _pairs(texts))[1]


def _figures(task: Task, part: Part, logits: Logits) -> dict[str, float | int]:
    """Figures of the texts in scope, each given its likeliest intent."""
    true = task.places(task.part(part))
    inside = true != _NOWHERE
    said = logits[inside].argmax(1)
    return {
        "texts": int(inside.sum()),
        "out_of_scope": int((~inside).sum()),
        "accuracy": accuracy(true[inside], said),
        "macro_f1": macro_f1(true[inside], said, task.intents) if inside.any() else 0.0,
    }


def _write_logits(directory: Path, logits: dict[Part, Logits]) -> None:
    scratch = directory / f"{LOGITS_FILE}.partial"
    with scratch.open("wb") as file:
        np.savez(file, development=logits["development"], test=logits["test"])
    scratch.replace(directory / LOGITS_FILE)


def _close(directory: Path, figures: dict[str, Any]) -> None:
    """Nothing; the run is over: its figures are written, and what it needed to go on is no longer kept."""
    with whole_file(directory / FIGURES_FILE) as file:
        json.dump(figures, file)
    for checkpoint in directory.glob(f"*/{CHECKPOINT_FILE}"):
        checkpoint.unlink()


def train_intents(
    recipe: Recipe, task: Task, directory: Path, *, fresh: bool = False, watch: Watch = unwatched
) -> dict[str, Any]:
    """The figures of the run in `directory`, where weights and logits (`development` and `test`, `[n, k]`) lie too.

    A run that was cut off goes on; one that is over only says its figures again, unless it is to be made `fresh`. Where
    the part `development` has texts in scope, the best epoch on them counts, else the last.

    Raises:
        RecipeError: when the recipe trains routes, which these texts do not have.
        TrainingError: as `find_encoder` and `finetune_examples`.
    """
    if recipe.finetune.trains_routes:
        raise RecipeError(
            f"The recipe {recipe.name!r} trains routes (finetune.route_loss_weight is "
            f"{recipe.finetune.route_loss_weight}), and an intent task has none. Wanted 0: set it, or take a recipe "
            "of training/recipes/intents/."
        )
    if fresh and directory.exists():
        shutil.rmtree(directory)
    if (directory / FIGURES_FILE).exists():
        said: dict[str, Any] = json.loads((directory / FIGURES_FILE).read_text(encoding="utf-8"))
        return said
    home = find_encoder(recipe.encoder)
    held = _examples(task, [text for text in task.part("development") if text.intent is not None])
    directory.mkdir(parents=True, exist_ok=True)
    intents = len(task.intents)
    made = finetune_examples(
        recipe, home, _examples(task, task.part("train")), held, directory, intents=intents, watch=watch
    )
    network = build_network(home, intents, dropout=0.0, seed=recipe.seed)
    network.load_state_dict(torch.load(made.weights, weights_only=True))
    encoder = read_encoder(recipe.reading, home)
    logits = {part: _intent_logits(network, encoder, task, part) for part in HELD_OUT}
    _write_logits(directory, logits)
    figures: dict[str, Any] = {
        "seconds": made.seconds,
        "epochs": [member.best_epoch for member in made.members],
        "intents": intents,
    }
    figures.update((part, _figures(task, part, logits[part])) for part in HELD_OUT)
    _close(directory, figures)
    return figures


def embed(recipe: Recipe, task: Task, out: Path, *, watch: Watch = unwatched) -> dict[str, Any]:
    """Where the pretrained encoder lies, and the shape of what `out` then holds.

    That is the mean of its last hidden states, `[n, d]` as .npy, for every text in order; nothing is trained.

    Raises:
        EncoderError: when the weights are nowhere.
    """
    home = find_encoder(recipe.encoder)
    network = build_network(home, 1, dropout=0.0, seed=0)
    pooled = pool_pairs(network, read_encoder(recipe.reading, home), _pairs(task.texts), watch=watch)
    scratch = out.with_name(f"{out.name}.partial")
    with scratch.open("wb") as file:
        np.save(file, pooled)
    scratch.replace(out)
    return {"embeddings": str(out), "encoder": str(home), "texts": pooled.shape[0], "dimensions": pooled.shape[1]}
