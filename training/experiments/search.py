"""The search for better numbers of a recipe within a time budget: Optuna's TPE proposes, its median rule gives up.

A search may be ended at any instant, `kill -9` included. What it proposes is drawn from the seed and the trials that
ended, so the same command proposes again what was being tried, finds its checkpoint, and goes on.

Everything is measured on the development part. The best of many looks better there than it is: hold it against the
recipe that it came from with several seeds (`training.experiments.seeds`), and on posts that no search has seen.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.dependencies import needs_group
from data.output import whole_file
from data.progress import Say, Watch, unwatched

with needs_group("search", "Searching for a better recipe"):
    import optuna
    from optuna.trial import FrozenTrial, TrialState

from training.encoder import find_encoder
from training.errors import DivergedError
from training.experiments.fits import Fit, fit, forget_weights
from training.experiments.space import Choices, Space, changed, value_at
from training.history import Epoch, TellEpoch
from training.recipe import MAX_SEED, Recipe, recipe_toml
from training.runs import RUNS, key_of, read_parts, run_directory
from training.tracking.port import Track, flatten, untracked

Objective = Literal["macro_f1", "automatic_share"]
OBJECTIVES: tuple[Objective, ...] = ("macro_f1", "automatic_share")
STUDY_FILE, BEST_FILE, PAGE_FILE = "study.db", "best.toml", "search.html"
_NAME = "search"
_SECONDS, _FIT = "seconds", "fit"
_DRAWN_FIRST = 8
"""Trials drawn at random before TPE models anything, and before the median rule ends one."""
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to so far; `best` is the recipe, `value` what the objective says of it, `start` of the first.

    `ended` counts the trials that were tried to their end, `pruned` those given up early.
    """

    best: Recipe
    best_file: Path
    page: Path
    value: float
    start: float
    ended: int
    pruned: int
    seconds: float


def search_directory(space: Space, objective: Objective, run: Path) -> Path:
    """Where a search keeps its state, beside the directory `run` of its recipe: another space, another directory."""
    made_of = [objective, *(f"{field} {what.model_dump_json()}" for field, what in space.items())]
    return run.with_name(f"{run.name}-search-{key_of(*made_of)}")


def _propose(trial: optuna.Trial, space: Space) -> dict[str, object]:
    values: dict[str, object] = {}
    for field, what in space.items():
        if isinstance(what, Choices):
            values[field] = trial.suggest_categorical(field, what.choices)
        elif what.is_whole:
            values[field] = trial.suggest_int(field, int(what.low), int(what.high), log=what.log)
        else:
            values[field] = trial.suggest_float(field, what.low, what.high, log=what.log)
    return values


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_ENDED)


def _spent(study: optuna.Study) -> float:
    """The seconds of training of the trials that ended, in all sittings; one that was cut off counts when it ends."""
    return sum(float(trial.user_attrs.get(_SECONDS, 0.0)) for trial in _ended(study))


class _Trials:
    """Trains and tells one trial after another."""

    def __init__(
        self,
        recipe: Recipe,
        space: Space,
        home: Path,
        *,
        objective: Objective,
        train: Callable[[Recipe, Path, TellEpoch], Fit],
        track: Track,
    ) -> None:
        self._recipe, self._space, self._objective, self._home = recipe, space, objective, home
        self._train, self._track = train, track
        self.study = optuna.create_study(
            storage=f"sqlite:///{home / STUDY_FILE}",
            study_name=_NAME,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_DRAWN_FIRST, n_warmup_steps=1),
            load_if_exists=True,
        )
        for left in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(left.number, state=TrialState.FAIL)  # cut off; it is proposed again

    def _ask(self) -> optuna.Trial:
        ended = len(_ended(self.study))
        if not ended and not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            start = {field: value_at(self._recipe, field) for field in self._space}
            if all(value in self._space[field] for field, value in start.items()):
                self.study.enqueue_trial(start)
        # A sampler of its own for each proposal: the same one, whether earlier ones were drawn in this sitting or not.
        seed = (self._recipe.seed * 100_003 + ended) % MAX_SEED
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_DRAWN_FIRST)
        return self.study.ask()

    def try_next(self) -> None:
        """Trains what is proposed next, to its end or until the median rule gives it up."""
        trial = self._ask()
        values = _propose(trial, self._space)
        proposed = changed(self._recipe, values)
        directory = self._home / "trials" / key_of(recipe_toml(proposed))
        with self._track(f"{self._recipe.name}-trial-{trial.number}", directory, fresh=False) as tracking:
            tracking.params(flatten(proposed.model_dump(mode="json")))
            tracking.tags({"search": self._home.name, "trial": str(trial.number)})

            def tell(member: int, epoch: Epoch) -> None:
                tracking.metrics({f"member_{member}_macro_f1": epoch.macro_f1}, step=epoch.epoch)
                if member == 0:  # all members start alike: the first speaks for them
                    trial.set_user_attr(_SECONDS, epoch.seconds * proposed.finetune.members)
                    trial.report(epoch.macro_f1, epoch.epoch)
                    if epoch.epoch < proposed.finetune.epochs and trial.should_prune():
                        raise optuna.TrialPruned

            began = time.monotonic()
            try:
                made = self._train(proposed, directory, tell)
            except (optuna.TrialPruned, DivergedError) as given_up:
                if _SECONDS not in trial.user_attrs:  # it diverged in its first epoch
                    trial.set_user_attr(_SECONDS, time.monotonic() - began)
                forget_weights(directory)
                self.study.tell(trial, state=TrialState.PRUNED)
                tracking.tags({"state": "diverged" if isinstance(given_up, DivergedError) else "pruned"})
                return
            figures = {name: float(getattr(made, name)) for name in OBJECTIVES}
            tracking.metrics(figures | {f"f1_{route}": f1 for route, f1 in made.route_f1.items()})
            tracking.tags({"state": "complete"})
            trial.set_user_attr(_SECONDS, made.seconds)  # of a repeat as well: a space of few choices ends all the same
            trial.set_user_attr(_FIT, figures)
            forget_weights(directory)
            self.study.tell(trial, figures[self._objective])

    def leaves_room(self, budget_s: float) -> bool:
        """Whether another trial ends within the budget if it takes as long as the median one; the first always may."""
        took = [float(trial.user_attrs[_SECONDS]) for trial in _ended(self.study) if _SECONDS in trial.user_attrs]
        return not took or _spent(self.study) + statistics.median(took) <= budget_s


def _write_page(study: optuna.Study, path: Path) -> None:
    """Nothing; the page at `path` needs no network."""
    from optuna import visualization

    complete = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    plots: list[Callable[..., Any]] = [visualization.plot_optimization_history, visualization.plot_intermediate_values]
    if complete >= 2:  # importances are a comparison
        plots += [
            visualization.plot_slice,
            visualization.plot_parallel_coordinate,
            visualization.plot_param_importances,
        ]
    with warnings.catch_warnings(), whole_file(path) as page:
        warnings.simplefilter("ignore", UserWarning)  # that few trials tell nothing of importance, which the plot shows
        page.write('<!doctype html><html lang="en"><meta charset="utf-8"><title>Search for a better recipe</title>\n')
        for number, plot in enumerate(plots):
            page.write(plot(study).to_html(full_html=False, include_plotlyjs=number == 0))
        page.write("</html>\n")


def _found(trials: _Trials, recipe: Recipe, home: Path) -> Found:
    study = trials.study
    ended = _ended(study)
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    if not complete:
        raise DivergedError(
            f"None of the {len(ended)} trials in {home} came to an end: each diverged. Wanted one at least. Lower "
            "finetune.learning_rate in the recipe and in the space."
        )
    best = changed(recipe, study.best_trial.params | {"name": f"{recipe.name}-best"})
    with whole_file(home / BEST_FILE) as file:
        file.write(recipe_toml(best))
    _write_page(study, home / PAGE_FILE)
    return Found(
        best=best,
        best_file=home / BEST_FILE,
        page=home / PAGE_FILE,
        value=study.best_value,
        start=float(complete[0].values[0]),
        ended=len(complete),
        pruned=len(ended) - len(complete),
        seconds=_spent(study),
    )


def search(
    recipe: Recipe,
    space: Space,
    *,
    budget_s: float,
    trials: int | None = None,
    objective: Objective = "macro_f1",
    runs: Path = RUNS,
    track: Track = untracked,
    watch: Watch = unwatched,
    say: Say = lambda _: None,
) -> Found:
    """The best recipe of a space that was found in `budget_s` seconds of training, or in so many `trials`.

    The first trial is the recipe as it is, where the space has room for it. No trial begins that would not end within
    the budget if it took as long as the median one; seconds and trials of earlier sittings count.

    Raises:
        TrainingError: when a training cannot be done, or none came to an end; its kind and message say why.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits, encoder = read_parts(recipe), find_encoder(recipe.encoder)
    home = search_directory(space, objective, run_directory(recipe, splits, runs))
    home.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parts = splits.part("train"), splits.part("development")

    def train(proposed: Recipe, directory: Path, tell: TellEpoch) -> Fit:
        return fit(proposed, encoder, *parts, directory, taxonomy=splits.taxonomy, watch=watch, tell=tell)

    trying = _Trials(recipe, space, home, objective=objective, train=train, track=track)
    while trying.leaves_room(budget_s) and (trials is None or len(_ended(trying.study)) < trials):
        trying.try_next()
        newest = _ended(trying.study)[-1]
        value = "given up" if newest.state == TrialState.PRUNED else f"{objective} {newest.values[0]:.4f}"
        say(f"Trial {newest.number}: {value}; {newest.params}; {_spent(trying.study):.0f} of {budget_s:.0f} s")
    return _found(trying, recipe, home)
