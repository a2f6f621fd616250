"""Fine-tuning of one network: all of the encoder and both heads, weights averaged, stopped by development macro-F1.

A training may be ended at any instant, `kill -9` included: it goes on from its last checkpoint and ends with the same
weights as one that was never cut off, because every random draw depends on (seed, step) alone; and on the rank, for
dropout where several processes train together (`training.ranks`).
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data.progress import Watch
from training.development import measure
from training.errors import DivergedError, WorkLostError
from training.examples import Batch, Encoder, Example, order_batches, split_batch, training_reading
from training.history import Epoch, read_history, write_history
from training.network import Network
from training.objectives import Objective, r_drop_loss
from training.ranks import ALONE, Ranks
from training.recipe import FinetuneRecipe

CHECKPOINT_FILE = "checkpoint.pt"
BEST_FILE = "best.pt"
CHECKPOINT_EVERY_S = 60.0
_TOKENS_AT_ONCE = 1_024
"""Longer batches go through the network in pieces: what their gradients need is most of what a training holds."""
_SEED_STRIDE = 1_000_003
"""A prime larger than any number of steps: no two (seed, step) pairs share a seed."""
_RANK_STRIDE, _SEEDS = 2**57, 2**63
"""Above every (seed, step) of the first rank, and what torch takes."""

State = dict[str, Any]
Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True, slots=True)
class Member:
    """How one member's training went; its weights are those of `best_epoch`."""

    best_epoch: int
    history: tuple[Epoch, ...]


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
        ranks: Ranks = ALONE,
    ) -> None:
        self.settings, self.seed, self.encoder, self.examples = settings, seed, encoder, examples
        self.network, self.ranks = network, ranks
        self.objective = r_drop_loss(objective, settings) if settings.r_drop else objective
        if settings.vocabulary == "frozen":
            network.token_embeddings().requires_grad_(False)
        self.average = _average(network, settings.average_decay)
        self.optimizer = _optimizer(network, settings)
        self.lengths = encoder.lengths([each.full for each in examples])
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
                readings = [
                    [training_reading(each, self.settings, draw) for _ in range(self.settings.readings)]
                    for each in chosen
                ]
                mine, share = self.ranks.share(list(zip(readings, chosen, strict=True)))
                read = [(pair, of_teachers, each) for of_post, each in mine for pair, of_teachers in of_post]
                labels = [(each.route, each.intent) for _, _, each in read]
                said = [of_teachers for _, of_teachers, _ in read if of_teachers]
                yield replace(self.encoder.batch([pair for pair, _, _ in read], labels, said), share=share)

    def train_on(self, batch: Batch) -> None:
        """Nothing; one step was taken."""
        own = self.ranks.rank * _RANK_STRIDE  # other dropout for other posts
        torch.manual_seed((self.seed * _SEED_STRIDE + self.progress.step + own) % _SEEDS)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        pieces = split_batch(batch, _TOKENS_AT_ONCE, self.settings.readings)
        told = torch.stack([self._learn_from(piece) for piece in pieces]).sum()
        self.ranks.add_up([told, *(each.grad for each in self.network.parameters() if each.grad is not None)])
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.progress.step += 1
        self.progress.epoch_loss += told.item()

    def _learn_from(self, piece: Batch) -> Tensor:
        """What a piece of a batch lost, by its share; its gradient is added to what the pieces before it left."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bf16):
            route, intent = self.network(piece.input_ids, piece.attention_mask, piece.token_type_ids)
        loss = self.objective(route.float(), intent.float(), piece) * piece.share
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss.detach()

    def close_epoch(self, development: Sequence[Example], best: Path) -> None:
        """Measures the averaged weights and keeps them where they are the best so far, or nothing can tell."""
        if not math.isfinite(self.progress.epoch_loss):
            raise DivergedError(
                f"Training in {best.parent} diverged: the loss of epoch {len(self.progress.history) + 1} is "
                f"{self.progress.epoch_loss}, wanted a finite number. Lower finetune.learning_rate in the recipe and "
                "start with --fresh."
            )
        epoch = Epoch(
            epoch=self.progress.step // self.steps_per_epoch,
            loss=self.progress.epoch_loss / self.steps_per_epoch,
            seconds=self.progress.seconds,
            **self._measure(development),
        )
        earlier = [each.macro_f1 for each in self.progress.history]
        if not development or not earlier or epoch.macro_f1 > max(earlier):
            if self.ranks.is_first:
                save_atomically(self.average.module.state_dict(), best)
            self.progress.best_epoch = epoch.epoch
        self.progress.history.append(epoch)
        self.progress.epoch_loss = 0.0

    def _measure(self, development: Sequence[Example]) -> dict[str, float]:
        """The figures that the first rank finds, so that all stop at the same epoch."""
        names, routed = ("macro_f1", "accuracy", "intent_accuracy"), self.settings.trains_routes
        first = self.ranks.is_first
        found = measure(self.average.module, self.encoder, development, routed=routed) if first else {}
        told = self.ranks.take_from_first([found.get(name, math.nan) for name in names])
        return dict(zip(names, told, strict=True))

    def check_start(self, directory: Path) -> None:
        """Nothing; all ranks stand at the same step.

        Raises:
            WorkLostError: when this one does not.
        """
        (first,) = self.ranks.take_from_first([float(self.progress.step)])
        if self.progress.step != first:
            raise WorkLostError(
                f"Rank {self.ranks.rank} found step {self.progress.step} in {directory}, the first rank step "
                f"{first:.0f}. Wanted: one directory of runs that every machine sees. Share it, or name it by --runs."
            )

    @property
    def is_over(self) -> bool:
        """True after the last epoch, or when `patience_epochs` epochs brought nothing better."""
        return is_over(len(self.progress.history), self.progress.best_epoch, self.settings)


def _average(network: Network, decay: float) -> AveragedModel:
    """The moving average of the network's weights; what is frozen is one tensor in both, and left alone."""
    moving: Callable[[Tensors, Tensors, Tensor | int], None] = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch

    def move(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
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


def is_over(epochs: int, best_epoch: int, settings: FinetuneRecipe) -> bool:
    """Whether a training is at its end after so many `epochs`: they are all, or nothing better came for long enough."""
    return epochs >= settings.epochs or epochs - best_epoch >= settings.patience_epochs


def is_trained(directory: Path, settings: FinetuneRecipe) -> bool:
    """Whether the network in `directory` is trained to its end."""
    figures = [epoch.macro_f1 for epoch in read_history(directory)]
    if not figures:
        return False
    best = len(figures) if math.isnan(figures[-1]) else figures.index(max(figures)) + 1
    return is_over(len(figures), best, settings)


def train_to_end(run: Run, development: Sequence[Example], directory: Path, watched: Watched) -> Member:
    """The member that `run` trains to its end, its weights and state kept in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint, best = directory / CHECKPOINT_FILE, directory / BEST_FILE
    if checkpoint.exists():
        run.load(torch.load(checkpoint, weights_only=True))
    run.check_start(directory)
    if run.ranks.is_first and run.progress.history:
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
        if run.ranks.is_first and (ends_epoch or now - saved >= watched.checkpoint_every_s):
            save_atomically(run.state(), checkpoint)
            saved = time.monotonic()
        if run.ranks.is_first and ends_epoch:  # after the checkpoint: an epoch that was told is never trained again
            write_history(run.progress.history, directory)
        if run.is_over:
            break
    return Member(best_epoch=run.progress.best_epoch, history=tuple(run.progress.history))
