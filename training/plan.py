"""What a run would do, said before it does it: posts, steps, time, what goes on, what tracking would be told.

Reads all that a run reads, so that it finds what a run would refuse, and takes a few steps in memory to tell how long
they are. Writes nothing, asks no tracking store and fetches nothing from the hub.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from data.post import LabelledPost
from data.splits import PARTS, Splits
from data.taxonomy import ROUTES
from models.bundle import MANIFEST_FILE
from training.encoder import find_encoder, from_hub
from training.errors import EncoderError
from training.examples import make_examples, order_batches
from training.finetune import CHECKPOINT_FILE, is_over
from training.members import homes_of, member_works
from training.outside import read_outside
from training.recipe import FinetuneRecipe, Recipe
from training.record import begin
from training.runs import RUNS, bundle_place, read_parts, read_unlabelled, run_directory
from training.tracking.port import DIRECTORY, Untracked, UsedPosts

MEASURED_STEPS = 4
"""Steps of a few hundred milliseconds: enough for a time that is right to a third, the first one left out."""


@dataclass(frozen=True, slots=True)
class Told:
    """What tracking would be told at the start of a run; then every epoch, the report and the bundle."""

    store: str
    goes_on: bool
    params: dict[str, object]
    tags: dict[str, str]
    datasets: dict[str, int]
    """Posts of each part."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of all networks of a run, at most: early stopping may end one sooner.

    `done` has a number for each network. Seconds are those of this machine as busy as it is now, `left_seconds` one
    network after the other; `None` where they are not known.
    """

    an_epoch: int
    a_network: int
    done: tuple[int, ...]
    step_seconds: float | None = None
    left_seconds: float | None = None

    @property
    def left(self) -> int:
        """How many are still to be taken."""
        return self.a_network * len(self.done) - sum(self.done)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `encoder` is `None` where it would be fetched from the hub."""

    recipe: str
    run_directory: str
    bundle: str
    replaces_bundle: bool
    encoder: str | None
    posts: dict[str, dict[str, int]]
    """Of each part, by route."""
    measured_on: dict[str, int]
    """Files that the finished model is measured on, and their posts."""
    steps: Steps
    tracking: Told | None


class Rehearsal(Untracked):
    """Tracking that tells nobody and remembers what it would have told first."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.known_by: dict[str, str] = {}
        self.used: dict[str, int] = {}

    def params(self, values: Mapping[str, object]) -> None:
        """Remembers what the run was told."""
        self.values |= values

    def tags(self, values: Mapping[str, str]) -> None:
        """Remembers what the run is known by."""
        self.known_by |= values

    def datasets(self, used: Sequence[UsedPosts]) -> None:
        """Remembers which posts are used."""
        self.used |= {each.context: each.posts for each in used}


def _find_encoder(recipe: Recipe) -> Path | None:
    try:
        return find_encoder(recipe.encoder, lambda name, _: from_hub(name, True))
    except EncoderError:
        if recipe.encoder.directory is not None:  # no other place would be looked at
            raise
        return None


def _steps_done(directory: Path, steps: int, settings: FinetuneRecipe) -> int:
    """How many steps of a network need not be taken again; all of them where it has stopped early."""
    checkpoint = directory / CHECKPOINT_FILE
    if not checkpoint.exists():
        return 0
    kept = torch.load(checkpoint, weights_only=True, mmap=True)["progress"]
    over = is_over(len(kept["history"]), kept["best_epoch"], settings)
    return steps if over else int(kept["step"])


def measure_step(recipe: Recipe, encoder: Path, splits: Splits, directory: Path) -> float:
    """Seconds that one step of a member takes here and now, in a network that nobody keeps."""
    homes = homes_of(recipe, directory)
    examples = make_examples(splits.part("train"), splits.taxonomy, unlabelled=read_unlabelled(recipe))
    work, *_ = member_works(recipe, encoder, examples, (), homes, intents=len(splits.taxonomy.intents))
    run = replace(work, said=None).prepare()  # what teachers say costs nothing once they said it
    batches = list(islice(run.batches(), MEASURED_STEPS + 1))
    run.train_on(batches[0])  # the first makes the optimiser's state
    measured = batches[1:] or batches
    begun = time.monotonic()
    for batch in measured:
        run.train_on(batch)
    return (time.monotonic() - begun) / len(measured)


def _count_steps(recipe: Recipe, splits: Splits, directory: Path, encoder: Path | None, *, fresh: bool) -> Steps:
    settings = recipe.finetune
    posts = len(splits.part("train")) + len(read_unlabelled(recipe))
    an_epoch = len(order_batches([0] * posts, settings.batch_posts, recipe.seed, 0))  # lengths change no number
    steps = an_epoch * settings.epochs
    homes = homes_of(recipe, directory)
    done = tuple(0 if fresh else _steps_done(home, steps, settings) for home in homes)
    counted = Steps(an_epoch, steps, done)
    if not counted.left:
        return replace(counted, left_seconds=0.0)
    if encoder is None:
        return counted
    step_seconds = measure_step(recipe, encoder, splits, directory)
    return replace(counted, step_seconds=step_seconds, left_seconds=step_seconds * counted.left)


def _count_routes(posts: Sequence[LabelledPost]) -> dict[str, int]:
    routes = Counter(post.route for post in posts)
    return {route: routes[route] for route in ROUTES}


def _rehearse(recipe: Recipe, splits: Splits, directory: Path, store: str, *, fresh: bool) -> Told:
    rehearsal = Rehearsal()
    begin(rehearsal, recipe, splits)
    goes_on = not fresh and (directory / DIRECTORY).exists()
    return Told(store, goes_on, rehearsal.values, rehearsal.known_by, rehearsal.used)


def plan_run(
    recipe: Recipe,
    out: Path | None = None,
    *,
    runs: Path = RUNS,
    fresh: bool = False,
    outside: Sequence[tuple[Path, str | None]] = (),
    store: str | None = None,
) -> Plan:
    """What `training.pipeline.make_bundle` would do with the same arguments. `store` is where it would be tracked.

    Raises:
        TrainingError, SourceError, SplitsError: what a run would raise before it trains.
    """
    splits = read_parts(recipe)
    measuring = [read_outside(file, language, splits.taxonomy) for file, language in outside]
    directory = run_directory(recipe, splits, runs)
    place, encoder = bundle_place(directory, out), _find_encoder(recipe)
    return Plan(
        recipe=recipe.name,
        run_directory=str(directory),
        bundle=str(place),
        replaces_bundle=(place / MANIFEST_FILE).exists(),
        encoder=str(encoder) if encoder else None,
        posts={part: _count_routes(splits.part(part)) for part in PARTS},
        measured_on={each.file: len(each.posts) for each in measuring},
        steps=_count_steps(recipe, splits, directory, encoder, fresh=fresh),
        tracking=_rehearse(recipe, splits, directory, store, fresh=fresh) if store else None,
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "nobody knows how long"
    return f"about {seconds / 60:.1f} minutes" if seconds >= 60 else f"about {seconds:.0f} seconds"


def _telling(told: Told) -> str:
    record = "goes on with its record" if told.goes_on else "begins a record"
    tags = ", ".join(sorted(told.tags))
    return f"{record} in {told.store} (not asked): {len(told.params)} params, tags {tags}; later epochs, report, bundle"


def render_plan(plan: Plan) -> str:
    """The plan as people read it."""
    steps = plan.steps
    rows = [
        ("recipe", plan.recipe),
        ("run", plan.run_directory + (", goes on" if any(steps.done) else ", new")),
        ("bundle", plan.bundle + (", takes the place of the one there" if plan.replaces_bundle else "")),
        ("encoder", plan.encoder or "not on this machine, would be fetched from the hub"),
    ]
    for part, routes in plan.posts.items():
        listed = ", ".join(f"{posts} {route}" for route, posts in routes.items())
        rows.append((part, f"{sum(routes.values())} posts: {listed}"))
    rows += [("measured on", f"{posts} posts of {file}") for file, posts in plan.measured_on.items()]
    most, networks = steps.a_network * len(steps.done), len(steps.done)
    rows += [
        ("steps", f"{steps.an_epoch} an epoch, at most {most} of {networks} networks, {sum(steps.done)} done"),
        ("fine-tuning", f"{_duration(steps.left_seconds)} for the steps left; then export and proof"),
        ("mlflow", _telling(plan.tracking) if plan.tracking else "is told nothing"),
    ]
    return "\n".join([*(f"{name:<12} {said}" for name, said in rows), "Nothing was done or changed."])
