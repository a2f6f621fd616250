"""The networks of a run: members trained side by side, and the one model that they become.

Several members start from the same weights and see the posts in other orders with other dropout; the mean of their
weights is the model ("model soup", Wortsman et al. 2022, arXiv 2203.05482, uniform). It costs nothing at serving
time; what it brought on posts of another kind than the trained ones stands in `training/LOG.md`. Where the recipe says
so they teach one more network what they say together instead, and that one is the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from data.post import LabelledPost, Post
from data.progress import Watch, unwatched
from data.taxonomy import BUILT_IN, Taxonomy
from training.development import measure
from training.encoder import read_encoder
from training.examples import Encoder, Example, make_examples, order_batches
from training.finetune import BEST_FILE, CHECKPOINT_EVERY_S, Member, Run, Watched, save_atomically, train_to_end
from training.history import Follower, TellEpoch, untold
from training.network import Network, build_network
from training.objectives import Objective, distillation_loss, label_loss
from training.probe import start_heads
from training.processes import work_side_by_side
from training.ranks import ALONE, Ranks
from training.recipe import MAX_MEMBERS, Recipe
from training.teaching import Teacher, ask_teachers, find_teachers, taught, write_recipe

AVERAGE_FILE = "average.pt"
TAUGHT = "taught"
"""Where the network is kept that the members teach."""
SAID_FILE = "said.npz"
"""What teachers say of the examples, beside the networks that learn from it."""
HEADS_FILE = "heads.pt"
"""Where heads that start as a probe start, the same for all networks of a run."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The mean of the members' weights (`weights`, a state dict file), its development figures, and the members'.

    Where the members taught one more network it stands after them, and `weights` are its own.
    """

    weights: Path
    macro_f1: float
    accuracy: float
    intent_accuracy: float
    members: tuple[Member, ...]

    @property
    def seconds(self) -> float:
        """The members' training times added up, over all sittings; side by side they overlap."""
        return sum(member.history[-1].seconds for member in self.members)


def average_weights(files: Sequence[Path], average: Path) -> Path:
    """The path `average`, which then holds the mean of the state dicts in `files`."""
    states = [torch.load(file, weights_only=True) for file in files]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
    save_atomically({name: value.to(states[0][name].dtype) for name, value in mean.items()}, average)
    return average


@dataclass(frozen=True, slots=True)
class MemberWork:
    """The training of one member as a piece of work that any process can do."""

    recipe: Recipe
    number: int
    intents: int
    encoder_directory: Path
    examples: tuple[Example, ...]
    development: tuple[Example, ...]
    directory: Path
    checkpoint_every_s: float
    said: Path | None = None
    """What teachers say of the examples, where there are any."""
    ranks: Ranks = ALONE

    def _objective(self) -> Objective:
        settings, distillation = self.recipe.finetune, self.recipe.distillation
        of_labels = label_loss(settings, self.examples)
        if self.said is None:
            return of_labels
        return distillation_loss(
            of_labels,
            settings=settings,
            temperature=distillation.temperature,
            label_share=distillation.label_share,
            heads=distillation.heads,
        )

    def _examples(self) -> tuple[Example, ...]:
        if self.said is None:
            return self.examples
        temperature = self.recipe.distillation.temperature
        return taught(self.examples, self.said, intents=self.intents, temperature=temperature)

    def start(self, encoder: Encoder, watch: Watch = unwatched) -> Network:
        """The network before its first step: that of any other member, for all start alike."""
        settings = self.recipe.finetune
        network = build_network(self.encoder_directory, self.intents, dropout=settings.dropout, seed=self.recipe.seed)
        if settings.heads == "probe" and self._heads.exists():
            heads = torch.load(self._heads, weights_only=True)
            network.route.load_state_dict(heads["route"])
            network.intent.load_state_dict(heads["intent"])
        elif settings.heads == "probe":
            start_heads(network, encoder, self.examples, routed=settings.trains_routes, watch=watch)
        return network

    @property
    def _heads(self) -> Path:
        return self.directory.parent / HEADS_FILE

    def keep_heads(self, encoder: Encoder, watch: Watch = unwatched) -> None:
        """Nothing; heads that start as a probe are kept for all members, unless they were already."""
        if self.recipe.finetune.heads == "probe" and not self._heads.exists():
            network = self.start(encoder, watch)
            heads = {"route": network.route.state_dict(), "intent": network.intent.state_dict()}
            save_atomically(heads, self._heads)

    def prepare(self) -> Run:
        """The training as it stands before its first step."""
        settings = self.recipe.finetune
        encoder = read_encoder(self.recipe.reading, self.encoder_directory)
        seed = self.recipe.seed * MAX_MEMBERS + self.number
        return Run(
            settings,
            seed,
            self.start(encoder),
            encoder=encoder,
            examples=self._examples(),
            objective=self._objective(),
            ranks=self.ranks,
        )

    def __call__(self, watch: Watch) -> Member:
        """The member, trained on from where its directory says that it is."""
        self.ranks.meet()  # the first rank has written all that came before
        members = self.recipe.finetune.members
        what = f"fine-tuning {self.number + 1} of {members}" if self.number < members else "teaching one network"
        watched = Watched(watch, what, self.checkpoint_every_s)
        return train_to_end(self.prepare(), self.development, self.directory, watched)


def homes_of(recipe: Recipe, directory: Path) -> list[Path]:
    """The directories of all networks that a run trains, in order: the members, then the one that they teach."""
    homes = [directory / f"member-{number}" for number in range(recipe.finetune.members)]
    return [*homes, directory / TAUGHT] if recipe.distillation.teacher == "members" else homes


def member_works(
    recipe: Recipe,
    encoder_directory: Path,
    examples: tuple[Example, ...],
    held: tuple[Example, ...],
    homes: Sequence[Path],
    *,
    intents: int,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ranks: Ranks = ALONE,
) -> list[MemberWork]:
    """The trainings of a run, one for each of its `homes`; what teachers say of the examples need not be known yet."""
    elsewhere = recipe.distillation.elsewhere
    of_others = elsewhere if elsewhere is None or elsewhere.is_file() else homes[0].parent / SAID_FILE
    return [
        MemberWork(
            recipe=recipe,
            number=number,
            intents=intents,
            encoder_directory=encoder_directory,
            examples=examples,
            development=held,
            directory=home,
            checkpoint_every_s=checkpoint_every_s,
            said=of_others if number < recipe.finetune.members else home / SAID_FILE,
            ranks=ranks,
        )
        for number, home in enumerate(homes)
    ]


def _train_members(works: Sequence[MemberWork], processes: int, steps: int, watch: Watch) -> list[Member]:
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
    unlabelled: Sequence[Post] = (),
    taxonomy: Taxonomy = BUILT_IN,
    watch: Watch = unwatched,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    processes: int = 1,
    tell: TellEpoch = untold,
    ranks: Ranks = ALONE,
) -> Finetuned:
    """What `finetune_examples` makes of these posts, labelled by `taxonomy`, and of `unlabelled` ones."""
    return finetune_examples(
        recipe,
        encoder_directory,
        make_examples(train, taxonomy, unlabelled=unlabelled, watch=watch),
        make_examples(development, taxonomy),
        directory,
        intents=len(taxonomy.intents),
        watch=watch,
        checkpoint_every_s=checkpoint_every_s,
        processes=processes,
        tell=tell,
        ranks=ranks,
    )


def finetune_examples(
    recipe: Recipe,
    encoder_directory: Path,
    examples: tuple[Example, ...],
    held: tuple[Example, ...],
    directory: Path,
    *,
    intents: int,
    watch: Watch = unwatched,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    processes: int = 1,
    tell: TellEpoch = untold,
    ranks: Ranks = ALONE,
) -> Finetuned:
    """The fine-tuned weights in `directory`, going on from the checkpoints that an earlier sitting left there.

    `directory` belongs to one recipe, one set of examples and one list of `intents`; the caller sees to that. The
    epoch that does best on `held` counts, the last where nothing is held. With more than one of `processes` members are
    trained side by side, the threads of torch shared out among them. `tell` hears of each epoch soon after it has
    ended, and first of those of earlier sittings. Of several `ranks` this is for the first; the others `assist`.

    Raises:
        DivergedError: when the loss of an epoch is no finite number.
        WorkLostError: when another rank has gone.
        RecipeError: when the networks that are to teach are not there or do not fit.
    """
    settings = recipe.finetune
    encoder = read_encoder(recipe.reading, encoder_directory)
    homes = homes_of(recipe, directory)
    works = member_works(
        recipe,
        encoder_directory,
        examples,
        held,
        homes,
        intents=intents,
        checkpoint_every_s=checkpoint_every_s,
        ranks=ranks,
    )
    write_recipe(recipe, directory)
    follower = Follower(homes, tell)
    ask = partial(ask_teachers, intents=intents, temperature=recipe.distillation.temperature, watch=watch)
    if teachers := find_teachers(recipe.distillation):
        ask(teachers, examples, directory / SAID_FILE)
    works[0].keep_heads(encoder, watch)
    lengths = encoder.lengths([each.full for each in examples])
    steps = settings.epochs * len(order_batches(lengths, settings.batch_posts, recipe.seed, 0))
    at_a_time = min(processes, settings.members) if ranks.world == 1 else 1
    members = _train_members(works[: settings.members], at_a_time, steps, follower.watching(watch))
    own = [Teacher(home / BEST_FILE, encoder_directory, recipe) for home in homes[: settings.members]]
    for work in works[settings.members :]:
        if work.said:
            ask(own, examples, work.said)
        members.append(work(follower.watching(watch)))
    follower.look()
    kept = homes[settings.members :] or homes
    weights = average_weights([home / BEST_FILE for home in kept], directory / AVERAGE_FILE)
    network = build_network(encoder_directory, intents, dropout=settings.dropout, seed=recipe.seed)
    network.load_state_dict(torch.load(weights, weights_only=True))
    figures = measure(network, encoder, held, routed=settings.trains_routes)
    return Finetuned(weights=weights, members=tuple(members), **figures)


def assist(
    recipe: Recipe,
    encoder_directory: Path,
    train: Sequence[LabelledPost],
    development: Sequence[LabelledPost],
    directory: Path,
    *,
    unlabelled: Sequence[Post] = (),
    taxonomy: Taxonomy = BUILT_IN,
    ranks: Ranks,
) -> None:
    """Nothing; this rank did its part of what the first one does in `finetune`, and wrote nothing.

    `development` is measured by the first rank alone; whether there is any decides here too which epoch counts.

    Raises:
        DivergedError, RecipeError, WorkLostError: as `finetune`.
    """
    works = member_works(
        recipe,
        encoder_directory,
        make_examples(train, taxonomy, unlabelled=unlabelled),
        make_examples(development, taxonomy),
        homes_of(recipe, directory),
        intents=len(taxonomy.intents),
        ranks=ranks,
    )
    for work in works:
        work(unwatched)
