"""A student: a network with some of the layers of a trained one, taught to say what that one says.

It starts from the teacher's own weights, embeddings, chosen layers and heads alike (as DistilBERT does, arXiv
1910.01108), and learns from the teacher's logits, softened by a temperature, together with the true labels (Hinton et
al. 2015, arXiv 1503.02531, section 2). The loop, its averages, its early stop and its checkpoints are those of
`training.finetune`. Nothing that ships is made here: what it came to stands in `docs/model-speed.md`.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data.progress import Watch, unwatched
from data.splits import Splits
from training.encoder import find_encoder
from training.errors import RecipeError
from training.examples import Batch, make_example
from training.finetune import (
    AVERAGE_FILE,
    BEST_FILE,
    CHECKPOINT_EVERY_S,
    Objective,
    Run,
    Watched,
    label_loss,
    read_encoder,
    train_to_end,
)
from training.history import Epoch
from training.network import Network, intents_of, load_network
from training.pipeline import RUNS, find_left, read_parts, run_directory
from training.recipe import Recipe, StudentRecipe


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


def soft_loss(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """The divergence of the teacher's logits `[n, k]` from ours, both softened, in nats a post.

    Times the temperature squared, so that its gradient weighs the same at any temperature (arXiv 1503.02531).
    """
    said, wanted = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (ours, theirs))
    return nn.functional.kl_div(said, wanted, reduction="batchmean", log_target=True) * temperature**2


def distillation_loss(teacher: Network, recipe: Recipe, student: StudentRecipe) -> Objective:
    """The objective of a student: what the teacher says of the same batch, and the true labels with their share."""
    of_labels, intent_weight = label_loss(recipe.finetune), recipe.finetune.intent_loss_weight

    @torch.no_grad()
    def ask_teacher(batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.finetune.bf16):
            route, intent = teacher(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        return route.float(), intent.float()

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        their_route, their_intent = ask_teacher(batch)
        said = soft_loss(route, their_route, student.temperature)
        said = said + intent_weight * soft_loss(intent, their_intent, student.temperature)
        return (1 - student.label_share) * said + student.label_share * of_labels(route, intent, batch)

    return loss


def student_directory(student: StudentRecipe, teacher_directory: Path) -> Path:
    """Where a student of this recipe keeps its state: a directory of its own in that of its teacher's run."""
    key = hashlib.sha256(student.model_dump_json().encode()).hexdigest()
    return teacher_directory / f"student-{key[:10]}"


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
    directory = student_directory(student, teacher_weights.parent)
    if fresh and directory.exists():
        shutil.rmtree(directory)
    teacher = load_network(encoder_directory, teacher_weights, "sdpa")
    intents = len(splits.taxonomy.intents)
    network = Network(encoder_directory, intents, dropout=settings.dropout, attention="sdpa")
    network.load_state_dict(teacher.state_dict())
    keep_layers(network, student.layers)
    posts = splits.part("train")
    examples = [make_example(post, splits.taxonomy) for post in watch(posts, "rendering", len(posts))]
    held = [make_example(post, splits.taxonomy) for post in splits.part("development")]
    encoder = read_encoder(recipe, encoder_directory)
    objective = distillation_loss(teacher, recipe, student)
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
