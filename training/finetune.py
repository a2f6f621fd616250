"""Fine-tuning: all of the encoder and both heads, weights averaged, stopped by development macro-F1, resumable.

Several members start from the same weights and see the posts in other orders with other dropout; the mean of their
weights is the model ("model soup", Wortsman et al. 2022, arXiv 2203.05482, uniform). It costs nothing at serving
time; what it brought on posts of another kind than the trained ones stands in `training/LOG.md`.

A run may be ended at any instant, `kill -9` included: it goes on from its last checkpoint and ends with the same
weights as one that was never cut off, because every random draw depends on (seed, step) alone.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data.post import LabelledPost
from data.progress import Watch, unwatched
from data.taxonomy import BUILT_IN, ROUTES, Taxonomy
from evaluation.metrics import accuracy, macro_f1
from training.errors import DivergedError
from training.examples import Batch, Encoder, Example, make_example, order_batches, training_pair
from training.history import Epoch, Follower, TellEpoch, untold, write_history
from training.network import Network, build_network
from training.processes import work_side_by_side
from training.recipe import MAX_MEMBERS, FinetuneRecipe, Recipe

CHECKPOINT_FILE = "checkpoint.pt"
BEST_FILE = "best.pt"
AVERAGE_FILE = "average.pt"
CHECKPOINT_EVERY_S = 60.0
_EVALUATION_POSTS = 64
_SEED_STRIDE = 1_000_003
"""A prime larger than any number of steps: no two (seed, step) pairs share a seed."""

State = dict[str, Any]
Objective = Callable[[Tensor, Tensor, Batch], Tensor]
"""The loss of one batch, from route logits `[n, 4]`, intent logits `[n, k]` and the batch itself."""


@dataclass(frozen=True, slots=True)
class Member:
    """How one member's training went; its weights are those of `best_epoch`."""

    best_epoch: int
    history: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The mean of the members' weights (`weights`, a state dict file), its development figures, and the members'."""

    weights: Path
    macro_f1: float
    accuracy: float
    intent_accuracy: float
    members: tuple[Member, ...]

    @property
    def seconds(self) -> float:
        """The members' training times added up, over all sittings; side by side they overlap."""
        return sum(member.history[-1].seconds for member in self.members)


@dataclass(frozen=True, slots=True)
class Watched:
    """How a member's training is shown, and how often its state is kept."""

    watch: Watch
    what: str
    checkpoint_every_s: float


@dataclass(slots=True)
class _Progress:
    """Where a run is; the numbers that a checkpoint keeps beside the weights."""

    step: int = 0
    epoch_loss: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


def warmup_then_linear(step: int, steps: int, warmup_share: float) -> float:
    """The factor of the learning rate at `step` of `steps`: up from 0 over the warm-up, then down to 0."""
    warmup = max(1, round(steps * warmup_share))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup), 1.0)


def save_atomically(value: object, path: Path) -> None:
    """Nothing; `path` holds `value` (tensors and plain values) or what it held before, never a part of it."""
    scratch = path.with_suffix(".partial")
    torch.save(value, scratch)
    scratch.replace(path)


@torch.no_grad()
def predict_labels(
    network: nn.Module, encoder: Encoder, examples: Sequence[Example]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """The most likely route and intent of each example, `[n]` and `[n]`."""
    network.eval()
    lengths = encoder.lengths(examples)
    routes, intents = np.zeros(len(examples), dtype=np.int64), np.zeros(len(examples), dtype=np.int64)
    order = sorted(range(len(examples)), key=lambda place: lengths[place])
    for start in range(0, len(order), _EVALUATION_POSTS):
        places = order[start : start + _EVALUATION_POSTS]
        batch = encoder.batch([examples[place].full for place in places], [(0, 0)] * len(places))
        route, intent = network(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        routes[places] = route.argmax(1).numpy()
        intents[places] = intent.argmax(1).numpy()
    return routes, intents


def measure(network: nn.Module, encoder: Encoder, examples: Sequence[Example]) -> dict[str, float]:
    """Macro-F1 and accuracy of the routes and accuracy of the intents over `examples`."""
    routes, intents = predict_labels(network, encoder, examples)
    true_routes = np.array([each.route for each in examples], dtype=np.int64)
    true_intents = np.array([each.intent for each in examples], dtype=np.int64)
    return {
        "macro_f1": macro_f1(true_routes, routes, ROUTES),
        "accuracy": accuracy(true_routes, routes),
        "intent_accuracy": accuracy(true_intents, intents),
    }


def label_loss(settings: FinetuneRecipe) -> Objective:
    """The objective of fine-tuning: cross-entropy of the true route, and with its weight that of the true intent."""

    def loss(route: Tensor, intent: Tensor, batch: Batch) -> Tensor:
        of_route = nn.functional.cross_entropy(route, batch.routes)
        return of_route + settings.intent_loss_weight * nn.functional.cross_entropy(intent, batch.intents)

    return loss


class Run:
    """The training of one network with its state, from wherever that state is to the end."""

    def __init__(
        self,
        settings: FinetuneRecipe,
        seed: int,
        network: Network,
        *,
        encoder: Encoder,
        examples: Sequence[Example],
        objective: Objective,
    ) -> None:
        self.settings, self.seed, self.encoder, self.examples = settings, seed, encoder, examples
        self.network, self.objective = network, objective
        if settings.vocabulary == "frozen":
            network.token_embeddings().requires_grad_(False)
        self.average = _average(network, settings.average_decay)
        self.optimizer = _optimizer(network, settings)
        self.lengths = encoder.lengths(examples)
        self.steps_per_epoch = len(order_batches(self.lengths, self.settings.batch_posts, seed, 0))
        self.steps = self.steps_per_epoch * self.settings.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warmup_then_linear(step, self.steps, self.settings.warmup_share)
        )
        self.progress = _Progress()

    def state(self) -> State:
        """All that `load` needs to go on exactly here."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "progress": asdict(self.progress),
        }

    def load(self, state: State) -> None:
        """Nothing; the run stands where `state` was taken."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        kept = state["progress"]
        self.progress = _Progress(**{**kept, "history": [Epoch(**each) for each in kept["history"]]})

    def batches(self) -> Iterator[Batch]:
        """The batches that are still to be trained on, each drawn from its epoch and step alone."""
        for epoch in range(self.progress.step // self.steps_per_epoch, self.settings.epochs):
            order = order_batches(self.lengths, self.settings.batch_posts, self.seed, epoch)
            for places in order[self.progress.step - epoch * self.steps_per_epoch :]:
                draw = random.Random(f"{self.seed}/{self.progress.step}/pairs")
                chosen = [self.examples[place] for place in places]
                pairs = [
                    training_pair(each, self.settings.author_dropout, self.settings.noise, draw) for each in chosen
                ]
                yield self.encoder.batch(pairs, [(each.route, each.intent) for each in chosen])

    def train_on(self, batch: Batch) -> None:
        """Nothing; one step was taken."""
        torch.manual_seed(self.seed * _SEED_STRIDE + self.progress.step)
        self.network.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16):
            route, intent = self.network(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        loss = self.objective(route.float(), intent.float(), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.progress.step += 1
        self.progress.epoch_loss += loss.item()

    def close_epoch(self, development: Sequence[Example], best: Path) -> None:
        """Measures the averaged weights and keeps them where they are the best so far."""
        if not math.isfinite(self.progress.epoch_loss):
            raise DivergedError(
                f"Training in {best.parent} diverged: the loss of epoch {len(self.progress.history) + 1} is "
                f"{self.progress.epoch_loss}, wanted a finite number. Lower finetune.learning_rate in the recipe and "
                "start with --fresh."
            )
        figures = measure(self.average.module, self.encoder, development)
        epoch = Epoch(
            epoch=self.progress.step // self.steps_per_epoch,
            loss=self.progress.epoch_loss / self.steps_per_epoch,
            seconds=self.progress.seconds,
            **figures,
        )
        if not self.progress.history or epoch.macro_f1 > max(each.macro_f1 for each in self.progress.history):
            save_atomically(self.average.module.state_dict(), best)
            self.progress.best_epoch = epoch.epoch
        self.progress.history.append(epoch)
        self.progress.epoch_loss = 0.0

    @property
    def is_over(self) -> bool:
        """True after the last epoch, or when `patience_epochs` epochs brought nothing better."""
        waited = len(self.progress.history) - self.progress.best_epoch
        return self.progress.step >= self.steps or waited >= self.settings.patience_epochs


def _average(network: Network, decay: float) -> AveragedModel:
    """The moving average of the network's weights; what is frozen is one tensor in both, and left alone."""
    moving: Callable[[list[Tensor], list[Tensor], int], None] = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch

    def move(averaged: list[Tensor], current: list[Tensor], count: int) -> None:
        pairs = [pair for pair in zip(averaged, current, strict=True) if pair[0].data_ptr() != pair[1].data_ptr()]
        moving([own for own, _ in pairs], [new for _, new in pairs], count)

    average = AveragedModel(network, multi_avg_fn=move)
    for own, trained in zip(average.module.parameters(), network.parameters(), strict=True):
        if not trained.requires_grad:
            own.data = trained.data
    return average


def _optimizer(network: Network, settings: FinetuneRecipe) -> torch.optim.AdamW:
    head_rate = settings.learning_rate * settings.head_learning_rate_factor
    return torch.optim.AdamW(
        [
            {
                "params": [each for each in network.encoder.parameters() if each.requires_grad],
                "lr": settings.learning_rate,
            },
            {"params": network.head_parameters(), "lr": head_rate},
        ],
        weight_decay=settings.weight_decay,
        fused=True,  # one pass over the weights: a quarter less time a step on two cores
    )


def train_to_end(run: Run, development: Sequence[Example], directory: Path, watched: Watched) -> Member:
    """The member that `run` trains to its end, its weights and state kept in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint, best = directory / CHECKPOINT_FILE, directory / BEST_FILE
    if checkpoint.exists():
        run.load(torch.load(checkpoint, weights_only=True))
        write_history(run.progress.history, directory)
    clock = saved = time.monotonic()
    remaining = () if run.is_over else run.batches()
    for batch in watched.watch(remaining, watched.what, run.steps - run.progress.step):
        run.train_on(batch)
        now = time.monotonic()
        run.progress.seconds += now - clock
        clock = now
        ends_epoch = run.progress.step % run.steps_per_epoch == 0
        if ends_epoch:
            run.close_epoch(development, best)
        if ends_epoch or now - saved >= watched.checkpoint_every_s:
            save_atomically(run.state(), checkpoint)
            saved = time.monotonic()
        if ends_epoch:  # after the checkpoint: an epoch that was told is never trained again
            write_history(run.progress.history, directory)
        if run.is_over:
            break
    return Member(best_epoch=run.progress.best_epoch, history=tuple(run.progress.history))


def average_weights(files: Sequence[Path], average: Path) -> Path:
    """The path `average`, which then holds the mean of the state dicts in `files`."""
    states = [torch.load(file, weights_only=True) for file in files]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
    save_atomically({name: value.to(states[0][name].dtype) for name, value in mean.items()}, average)
    return average


@dataclass(frozen=True, slots=True)
class _MemberWork:
    """The training of one member as a piece of work that any process can do."""

    recipe: Recipe
    number: int
    intents: int
    encoder_directory: Path
    examples: tuple[Example, ...]
    development: tuple[Example, ...]
    directory: Path
    checkpoint_every_s: float

    def __call__(self, watch: Watch) -> Member:
        settings = self.recipe.finetune
        encoder = read_encoder(self.recipe, self.encoder_directory)
        start = self.recipe.seed  # all start alike
        network = build_network(self.encoder_directory, self.intents, dropout=settings.dropout, seed=start)
        seed = self.recipe.seed * MAX_MEMBERS + self.number
        objective = label_loss(settings)
        run = Run(settings, seed, network, encoder=encoder, examples=self.examples, objective=objective)
        what = f"fine-tuning {self.number + 1} of {settings.members}"
        return train_to_end(run, self.development, self.directory, Watched(watch, what, self.checkpoint_every_s))


def read_encoder(recipe: Recipe, encoder_directory: Path) -> Encoder:
    """Rendered pairs to tensors, with the tokenizer of the encoder and the window of the recipe."""
    return Encoder(Tokenizer.from_file(str(encoder_directory / "tokenizer.json")), recipe.reading.window_tokens)


def _train_members(works: Sequence[_MemberWork], processes: int, steps: int, watch: Watch) -> list[Member]:
    if processes == 1:
        return [work(watch) for work in works]
    what = f"fine-tuning {len(works)} members, {processes} at a time"
    return work_side_by_side(works, processes=processes, watch=watch, what=what, total=steps * len(works))


def finetune(
    recipe: Recipe,
    encoder_directory: Path,
    train: Sequence[LabelledPost],
    development: Sequence[LabelledPost],
    directory: Path,
    *,
    taxonomy: Taxonomy = BUILT_IN,
    watch: Watch = unwatched,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    processes: int = 1,
    tell: TellEpoch = untold,
) -> Finetuned:
    """The fine-tuned weights in `directory`, going on from the checkpoints that an earlier sitting left there.

    `directory` belongs to one recipe, one set of posts and one taxonomy; the caller sees to that. With more than one
    of `processes` members are trained side by side, the threads of torch shared out among them. `tell` hears of each
    epoch soon after it has ended, and first of those of earlier sittings.

    Raises:
        DivergedError: when the loss of an epoch is no finite number.
    """
    settings, intents = recipe.finetune, len(taxonomy.intents)
    encoder = read_encoder(recipe, encoder_directory)
    examples = tuple(make_example(post, taxonomy) for post in watch(train, "rendering", len(train)))
    held = tuple(make_example(post, taxonomy) for post in development)
    homes = [directory / f"member-{number}" for number in range(settings.members)]
    works = [
        _MemberWork(recipe, number, intents, encoder_directory, examples, held, home, checkpoint_every_s)
        for number, home in enumerate(homes)
    ]
    steps = settings.epochs * len(order_batches(encoder.lengths(examples), settings.batch_posts, recipe.seed, 0))
    follower = Follower(homes, tell)
    members = _train_members(works, min(processes, settings.members), steps, follower.watching(watch))
    follower.look()
    weights = average_weights([home / BEST_FILE for home in homes], directory / AVERAGE_FILE)
    network = build_network(encoder_directory, intents, dropout=settings.dropout, seed=recipe.seed)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return Finetuned(weights=weights, members=tuple(members), **measure(network, encoder, held))
