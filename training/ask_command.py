"""What `python -m training ask` does: a file of what members of a run say. No torch is imported before it runs."""

import argparse
from dataclasses import asdict
from pathlib import Path

from data.dependencies import needs_group
from data.progress import progress_bar

ASK = (
    "keep what the members of a run say of a recipe's posts, to teach with",
    "Ask the members of a run what they think of every post that the recipe trains on, with its author and\n"
    "without, and keep the answers in a file. Named in `distillation.teacher`, that file teaches in their place.\n"
    "What was cut off goes on when the same command is given again.",
    "  python -m training ask runs/teacher-0123456789 --recipe my-recipe.toml --out answers.npz\n"
    "  python -m training ask runs/teacher-0123456789 --recipe my-recipe.toml --keep answers.npz --out grown.npz\n",
)
"""What the verb does, in short and at length, and examples."""


def add_ask(verb: argparse.ArgumentParser) -> None:
    """Nothing; the verb has its options afterwards."""
    add = verb.add_argument
    add("run", type=Path, metavar="RUN", help="directory of the run whose members are asked")
    add("--recipe", type=Path, default=Path("training/recipes/default.toml"), help="TOML file (%(default)s)")
    add("--out", type=Path, required=True, metavar="FILE", help="the file of answers to write (.npz)")
    add("--keep", type=Path, metavar="FILE", help="answers that stand, whoever gave them; of others it is asked")


def run_ask(arguments: argparse.Namespace) -> dict[str, object]:
    """The file of answers, to how many posts, and how many texts were asked about.

    Raises:
        MissingGroupError: when the group `train` is not installed.
        TrainingError: when the run cannot teach these posts, or the file cannot be kept or written.
    """
    with needs_group("train", "Asking teachers"):
        from training.answers import ask_run
        from training.recipe import read_recipe
    recipe, out = read_recipe(arguments.recipe), arguments.out
    asked = ask_run(recipe, arguments.run, out, keep=arguments.keep, watch=progress_bar)
    return {"answers": str(out), **asdict(asked)}
