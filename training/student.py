"""A student: a network with some of the layers of a trained one, taught to say what that one says.

It starts from the teacher's own weights, embeddings, chosen layers and heads alike (as DistilBERT does, arXiv
1910.01108), and learns by `training.objectives.distillation_loss`. The loop, its averages, its early stop and its
checkpoints are those of `training.finetune`. Nothing that ships is made here: what it came to stands in
`docs/model-speed.md`.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from data.fingerprint import fingerprint
from data.progress import Watch, unwatched
from data.splits import Splits
from models.bundle import sha256_of
from training.encoder import find_encoder, read_encoder
from training.errors import RecipeError
from training.examples import make_examples
from training.finetune import BEST_FILE, CHECKPOINT_EVERY_S, Run, Watched, train_to_end
from training.history import Epoch
from training.members import AVERAGE_FILE, SAID_FILE
from training.network import Network, intents_of, load_network
from training.objectives import distillation_loss, label_loss
from training.recipe import Recipe, StudentRecipe, recipe_toml
from training.runs import RUNS, find_left, key_of, read_parts, run_directory
from training.teaching import Teacher, ask_teachers, taught


@dataclass(frozen=True, slots=True)
class Student:
    """The weights of the best epoch (a state dict file), and how the training went."""

    weights: Path
    best_epoch: int
    history: tuple[Epoch, ...]


def keep_layers(network: Network, layers: Sequence[int]) -> Network:
    """`network`, which then has only these of its encoder's layers, in this order.

    Raises:
        RecipeError: when it has no such layer.
    """
    stack = network.encoder.encoder.layer
    beyond = [layer for layer in layers if layer >= len(stack)]
    if beyond:
        raise RecipeError(
            f"The student cannot have the layers {beyond}: its teacher has {len(stack)}, counted from 0. "
            f"Name some of 0 to {len(stack) - 1} in `layers`."
        )
    network.encoder.encoder.layer = nn.ModuleList([stack[layer] for layer in layers])
    network.encoder.config.num_hidden_layers = len(layers)
    return network


def load_student(encoder_directory: Path, weights: Path) -> Network:
    """A trained student to export, as `training.network.load_network`; its weights tell how many layers it has."""
    state = torch.load(weights, weights_only=True)
    layers = {int(name.split(".")[3]) for name in state if name.startswith("encoder.encoder.layer.")}
    network = keep_layers(Network(encoder_directory, intents_of(state), dropout=0.0, attention="eager"), sorted(layers))
    network.load_state_dict(state)
    return network.eval()


def student_directory(student: StudentRecipe, recipe: Recipe, teacher_weights: Path, splits: Splits) -> Path:
    """Where a student keeps its state: beside its teacher, elsewhere for other weights, recipes, posts or splits."""
    made_of = [
        student.model_dump_json(),
        recipe_toml(recipe),
        sha256_of(teacher_weights),
        fingerprint(splits.posts),
        splits.file.sha256,
    ]
    return teacher_weights.parent / f"student-{key_of(*made_of)}"


def distill(
    recipe: Recipe,
    student: StudentRecipe,
    encoder_directory: Path,
    teacher_weights: Path,
    splits: Splits,
    *,
    fresh: bool = False,
    watch: Watch = unwatched,
) -> Student:
    """The student of the network of `recipe` whose weights are `teacher_weights`, kept beside them.

    An earlier sitting goes on unless it is to be made `fresh`.

    Raises:
        RecipeError: when the teacher lacks a layer that the student is to have.
        DivergedError: when the loss of an epoch is no finite number.
    """
    settings = recipe.finetune.model_copy(
        update={
            "epochs": student.epochs,
            "patience_epochs": student.epochs,
            "learning_rate": student.learning_rate,
            "head_learning_rate_factor": 1.0,  # its heads are trained already
        }
    )
    directory = student_directory(student, recipe, teacher_weights, splits)
    if fresh and directory.exists():
        shutil.rmtree(directory)
    teacher = load_network(encoder_directory, teacher_weights, "sdpa")
    intents = len(splits.taxonomy.intents)
    network = Network(encoder_directory, intents, dropout=settings.dropout, attention="sdpa")
    network.load_state_dict(teacher.state_dict())
    keep_layers(network, student.layers)
    posts = splits.part("train")
    examples = make_examples(posts, splits.taxonomy, watch=watch)
    held = make_examples(splits.part("development"), splits.taxonomy)
    encoder = read_encoder(recipe.reading, encoder_directory)
    said = directory / SAID_FILE
    teachers = [Teacher(teacher_weights, encoder_directory, recipe)]
    ask_teachers(teachers, examples, said, intents=intents, temperature=student.temperature, watch=watch)
    of_labels = label_loss(recipe.finetune, examples)
    objective = distillation_loss(
        of_labels, settings=recipe.finetune, temperature=student.temperature, label_share=student.label_share
    )
    examples = taught(examples, said, intents=intents, temperature=student.temperature)
    run = Run(settings, recipe.seed, network, encoder=encoder, examples=examples, objective=objective)
    made = train_to_end(run, held, directory, Watched(watch, "teaching the student", CHECKPOINT_EVERY_S))
    return Student(directory / BEST_FILE, made.best_epoch, made.history)


def distill_run(
    recipe: Recipe,
    student: StudentRecipe,
    *,
    runs: Path = RUNS,
    run: Path | None = None,
    fresh: bool = False,
    watch: Watch = unwatched,
) -> Student:
    """The student of what the run of `recipe` left in `runs`, or of what is in the directory `run`.

    Raises:
        TrainingError: when the run left no weights, or as `distill`.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits = read_parts(recipe)
    weights = find_left(AVERAGE_FILE, run or run_directory(recipe, splits, runs), recipe)
    return distill(recipe, student, find_encoder(recipe.encoder), weights, splits, fresh=fresh, watch=watch)
