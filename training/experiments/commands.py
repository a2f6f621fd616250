"""The verbs `seeds`, `search` and `curve`: their options, what they do, and the JSON that each ends with."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from data.dependencies import needs_group
from data.fingerprint import fingerprint
from data.output import whole_file
from data.progress import Say, progress_bar
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.experiments.fits import Fit
    from training.recipe import Recipe
    from training.tracking.port import Track

OBJECTIVES = ("macro_f1", "automatic_share")


class Run(Protocol):
    """What a verb does."""

    def __call__(self, arguments: argparse.Namespace, say: Say) -> dict[str, object]:
        """The JSON object that the command ends with."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A verb: what its help says, what it adds to the options of a recipe, and what it does."""

    what: str
    description: str
    examples: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Run


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of shares; wanted such as 0.25,0.5,0.75,1") from None


def _minutes(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is no budget; wanted minutes above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few; wanted at least 1")
    return value


def file_and_language(argument: str) -> tuple[Path, str | None]:
    """A file of posts and the language after its colon, where there is one."""
    file, colon, language = argument.rpartition(":")
    return (Path(file), language) if colon else (Path(argument), None)


def _add_seeds_and_out(verb: argparse.ArgumentParser, out: str) -> "argparse._MutuallyExclusiveGroup":
    """Adds both; what is returned may take other ways to come by networks than seeds."""
    networks = verb.add_mutually_exclusive_group()
    networks.add_argument("--seeds", type=int, default=3, metavar="N", help="how many, from the recipe's (%(default)s)")
    verb.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help="of the figures (%(default)s)")
    return networks


def _add_seeds(verb: argparse.ArgumentParser) -> None:
    """Adds how many seeds, and the recipe to hold against."""
    networks = _add_seeds_and_out(verb, "build/seeds")
    networks.add_argument(
        "--members", action="store_true", help="train nothing: each member of the recipe's run stands for a seed"
    )
    verb.add_argument("--against", type=Path, metavar="RECIPE", help="another recipe, trained with the same seeds")
    verb.add_argument(
        "--measure",
        type=file_and_language,
        action="append",
        default=[],
        metavar="FILE[:LANG]",
        help="also measure every network on this labelled file; it takes no part in making one (repeatable)",
    )


def add_ladder(verb: argparse.ArgumentParser) -> None:
    """Adds the rungs and where the page goes."""
    verb.add_argument("rungs", nargs="+", type=Path, metavar="SEEDS", help="seeds.json of each rung, lowest first")
    verb.add_argument("--out", type=Path, default=Path("build/ladder"), metavar="DIR", help="of the page (%(default)s)")


def _add_search(verb: argparse.ArgumentParser) -> None:
    """Adds the space, the budget and the objective."""
    add = verb.add_argument
    add("--space", type=Path, default=Path("training/recipes/space.toml"), help="what may change (%(default)s)")
    add("--budget-minutes", type=_minutes, required=True, metavar="M", help="of training, all sittings together")
    add("--trials", type=_count, metavar="N", help="stop after so many trials, all sittings together")
    add("--objective", choices=OBJECTIVES, default=OBJECTIVES[0], help="on the development part (%(default)s)")
    add("--no-tracking", action="store_true", help="keep nothing in MLflow")


def _add_curve(verb: argparse.ArgumentParser) -> None:
    """Adds the shares and how many seeds."""
    _add_seeds_and_out(verb, "build/curve")
    shares = [0.25, 0.5, 0.75, 1.0]
    verb.add_argument("--shares", type=_shares, default=shares, metavar="A,B,...", help="0.25,0.5,0.75,1 if not given")


def _write(content: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")


def _networks(recipe: "Recipe", arguments: argparse.Namespace, say: Say) -> "tuple[list[Fit], list[Path]]":
    """What the networks of a recipe come to on the development part, trained where they are not.

    And their weights, where they are to be measured on other posts: figures outlive weights that were deleted.
    """
    from training.experiments.seeds import fit_members, fit_seeds, weights_of_seeds

    runs = arguments.runs
    if arguments.members:
        return fit_members(recipe, runs=runs, say=say)
    fits = fit_seeds(recipe, arguments.seeds, runs=runs, watch=progress_bar, say=say)
    return fits, weights_of_seeds(recipe, arguments.seeds, runs=runs) if arguments.measure else []


def _run_seeds(arguments: argparse.Namespace, say: Say) -> dict[str, object]:
    """What the seed alone moves, and whether another recipe moves more."""
    with needs_group("train", "Training with several seeds"):
        from training.experiments.seeds import as_text, measure_networks, summarise, summarise_elsewhere
        from training.outside import read_outside
        from training.recipe import read_recipe
        from training.runs import read_intents
    recipe = read_recipe(arguments.recipe)
    outside = [read_outside(file, lang, read_intents(recipe)) for file, lang in arguments.measure]
    if len({(each.file, each.language) for each in outside}) < len(outside):
        raise TrainingError(
            "Two of the files to measure with have one name and language, which a ladder could not tell apart. Wanted "
            "different names. Rename one."
        )
    other = read_recipe(arguments.against) if arguments.against else None
    if other and not arguments.members:  # the same seeds, whatever its own is: they are paired
        other = other.model_copy(update={"seed": recipe.seed})
    fits, weights = _networks(recipe, arguments, say)
    others, other_weights = _networks(other, arguments, say) if other else ([], [])
    summary, of_what = summarise(fits, others), "members" if arguments.members else "seeds"
    say(as_text(recipe.name, other.name if other else None, f"{len(fits)} {of_what}", summary))
    file = arguments.out / "seeds.json"
    runs = {"runs": [asdict(each) for each in fits], "against_runs": [asdict(each) for each in others]}
    ours = measure_networks(weights, recipe, outside, watch=progress_bar)
    against = measure_networks(other_weights, other, outside, watch=progress_bar) if other else []
    elsewhere = []
    for each, found, theirs in zip(outside, ours, against or [[] for _ in outside], strict=True):
        figures = summarise_elsewhere(found, theirs)
        say(as_text(recipe.name, other.name if other else None, f"{len(fits)} {of_what}", figures, each.file))
        measured = {"runs": [asdict(one) for one in found], "against_runs": [asdict(one) for one in theirs]}
        about = {"file": each.file, "language": each.language, "posts": len(each.posts)}
        about["fingerprint"] = fingerprint(each.posts)
        elsewhere.append({**about, "figures": figures, **measured})
    content = {"recipe": recipe.name, "against": other and other.name, "figures": summary, **runs}
    _write(content | {"elsewhere": elsewhere}, file)
    figure = summary["macro_f1"]
    gain = figure.get("gain")
    return {"out": str(file), "seeds": [each.seed for each in fits], **figure["spread"], "gain": gain}


def run_ladder(arguments: argparse.Namespace, say: Say) -> dict[str, object]:
    """What each rung gained over the one below, as a page, a picture and a table."""
    with needs_group("evaluate", "Drawing a ladder"):
        from training.experiments.ladder import as_markdown, climb, read_rung, write_ladder
    steps = climb([read_rung(path) for path in arguments.rungs])
    page, why_no_picture = write_ladder(steps, arguments.out)
    say(why_no_picture or f"The picture is beside {page}")
    say(as_markdown(steps))
    return {"out": str(page), "rungs": [step.rung.name for step in steps]}


def _run_search(arguments: argparse.Namespace, say: Say) -> dict[str, object]:
    """The best recipe that was found, as a file that `run` takes."""
    with needs_group("search", "Searching for a better recipe"):
        from training.experiments.search import search
        from training.experiments.space import read_space
        from training.recipe import read_recipe
        from training.tracking.port import untracked
        from training.tracking.run import MlflowTracker
    recipe = read_recipe(arguments.recipe)
    track: Track = untracked if arguments.no_tracking else MlflowTracker(say)
    found = search(
        recipe,
        read_space(arguments.space, recipe),
        budget_s=60 * arguments.budget_minutes,
        trials=arguments.trials,
        objective=arguments.objective,
        runs=arguments.runs,
        track=track,
        watch=progress_bar,
        say=say,
    )
    say(
        f"The best of {found.ended} trials ({found.pruned} more given up early): {arguments.objective} "
        f"{found.value:.4f}, the first had {found.start:.4f}. The best of many looks better than it is; "
        "see whether it is more than noise:\n"
        f"  python -m training seeds --recipe {arguments.recipe} --against {found.best_file}\n"
        f"What was tried: {found.page}"
    )
    return {
        "recipe": str(found.best_file),
        "page": str(found.page),
        arguments.objective: found.value,
        "first": found.start,
        "complete": found.ended,
        "pruned": found.pruned,
        "seconds": round(found.seconds, 1),
    }


def _run_curve(arguments: argparse.Namespace, say: Say) -> dict[str, object]:
    """The learning curve as figures and page, and the answer in words."""
    with needs_group("train", "Measuring a learning curve"):
        from training.experiments.curve import answer, as_json, measure_curve
        from training.experiments.pages import write_curve
        from training.recipe import read_recipe
    recipe = read_recipe(arguments.recipe)
    curve = measure_curve(recipe, arguments.shares, arguments.seeds, runs=arguments.runs, watch=progress_bar, say=say)
    words, outlooks = answer(curve)
    say(words)
    content = as_json(curve, outlooks, words)
    _write(content, arguments.out / "curve.json")
    write_curve(curve, outlooks, arguments.out / "curve.html")
    gain = content["gain_as_they_come"]
    return {"out": str(arguments.out), "answer": words, "gain_as_they_come": gain}


EXPERIMENTS = {
    "seeds": Experiment(
        "train a recipe with several seeds: what the seed alone moves",
        "Fine-tune the same recipe with several seeds and say how far their figures spread on the development part,\n"
        "and which gain over it would be more than noise; with --against, whether another recipe's is.",
        "  python -m training seeds\n  python -m training seeds --recipe my-recipe.toml --seeds 5\n"
        "  python -m training seeds --recipe my-recipe.toml --against other-recipe.toml\n"
        "  python -m training seeds --recipe my-recipe.toml --measure my-labelled-posts.jsonl:en\n"
        "  python -m training seeds --members --measure my-labelled-posts.jsonl:en\n",
        _add_seeds,
        _run_seeds,
    ),
    "search": Experiment(
        "search for better numbers of a recipe within a time budget",
        "Try recipes of a space (Optuna: TPE, median rule) and write the best as a recipe that `run` takes.\n"
        "A search that was cut off, however hard, goes on when the same command is given again.",
        "  python -m training search --budget-minutes 120\n"
        "  python -m training search --recipe my-recipe.toml --space my-space.toml --budget-minutes 240 --trials 30\n",
        _add_search,
        _run_search,
    ),
    "curve": Experiment(
        "would 500 more labels help, and of which class?",
        "Fine-tune on growing parts of the training posts, fit a power law to the errors of each class, and say what\n"
        "500 more labels would bring, or that this cannot be told.",
        "  python -m training curve\n"
        "  python -m training curve --recipe my-recipe.toml --shares 0.25,0.5,0.75,1 --seeds 3\n",
        _add_curve,
        _run_curve,
    ),
}
"""The verbs by name."""
