"""What `python -m training intents` does: one head on plain texts. Nothing of torch is imported before it runs."""

import argparse
from pathlib import Path

from data.dependencies import needs_group
from data.progress import progress_bar

INTENTS = (
    "train one head on plain texts with intents, to be held against published results",
    "Fine-tune on FILE, JSON Lines with part (train, development, test), text and intent; null is out of scope and\n"
    "never trained on. Weights, logits and figures stay in the run's directory; no bundle is made. A run that was cut\n"
    "off goes on, --fresh starts anew.",
    "  python -m training intents my-texts.jsonl --recipe training/recipes/intents/banking77.toml\n"
    "  python -m training intents my-texts.jsonl --recipe training/recipes/intents/banking77.toml --seed 2\n"
    "  python -m training intents my-texts.jsonl --recipe my-recipe.toml --teacher runs/larger-0123456789\n"
    "  python -m training intents my-texts.jsonl --recipe my-recipe.toml --embed rows.npy\n",
)
"""What the verb does, in short and at length, and examples."""
_SEEDS = 2**32
"""What NumPy takes."""


def _seed(argument: str) -> int:
    if not argument.isdecimal() or int(argument) >= _SEEDS:
        raise argparse.ArgumentTypeError(f"{argument!r} is no seed; wanted a whole number from 0 to {_SEEDS - 1}")
    return int(argument)


def add_intents(verb: argparse.ArgumentParser) -> None:
    """Nothing; the verb has its options afterwards."""
    add = verb.add_argument
    add("texts", type=Path, metavar="FILE", help="the texts, as JSON Lines")
    add("--recipe", type=Path, required=True, help="TOML file with finetune.route_loss_weight = 0")
    add("--runs", type=Path, default=Path("runs"), help="where runs keep their state (%(default)s)")
    add("--seed", type=_seed, metavar="N", help="instead of the recipe's")
    add("--teacher", metavar="RUN", help="directory of a run on the same texts that teaches, instead of the recipe's")
    add("--fresh", action="store_true", help="forget what an earlier sitting left")
    add("--embed", type=Path, metavar="OUT", help="train nothing; write the pretrained encoder's embeddings (.npy)")


def run_intents(arguments: argparse.Namespace) -> dict[str, object]:
    """Where the run keeps what it made, and its figures.

    Raises:
        MissingGroupError: when the group `train` is not installed.
        TrainingError: when the recipe or the texts do not fit, or training fails.
    """
    with needs_group("train", "Training intents"):
        from training.intents import LOGITS_FILE, embed, read_task, task_directory, train_intents
        from training.recipe import read_recipe
    recipe, task = read_recipe(arguments.recipe), read_task(arguments.texts)
    if arguments.embed:
        return embed(recipe, task, arguments.embed, watch=progress_bar)
    if arguments.seed is not None:
        recipe = recipe.model_copy(update={"seed": arguments.seed})
    if arguments.teacher is not None:
        distillation = recipe.distillation.model_copy(update={"teacher": arguments.teacher})
        recipe = recipe.model_copy(update={"distillation": distillation})
    directory = task_directory(recipe, task, arguments.runs)
    figures = train_intents(recipe, task, directory, fresh=arguments.fresh, watch=progress_bar)
    return {"run": str(directory), "logits": str(directory / LOGITS_FILE), **figures}
