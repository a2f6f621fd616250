"""The networks that teach another one: where another run left them, and whether they fit."""

from collections.abc import Sequence
from pathlib import Path

import torch

from training.errors import RecipeError
from training.network import Network, intents_of, load_network
from training.recipe import DistillationRecipe

MEMBERS_WEIGHTS = "member-*/best.pt"
"""What a run leaves of each of its members."""
_OWN = ("none", "members")


def find_teachers(distillation: DistillationRecipe) -> tuple[Path, ...]:
    """The weights of the members of the run that is to teach; none where the recipe names no other run.

    Raises:
        RecipeError: when that directory has none.
    """
    if distillation.teacher in _OWN:
        return ()
    directory = Path(distillation.teacher)
    files = tuple(sorted(directory.glob(MEMBERS_WEIGHTS)))
    if not files:
        raise RecipeError(
            f"The run {directory} cannot teach: it has no {MEMBERS_WEIGHTS}. Wanted: the directory of a run whose "
            "members are trained (runs/NAME-KEY), or none, or members. Correct distillation.teacher in the recipe."
        )
    return files


def load_teachers(encoder_directory: Path, files: Sequence[Path], intents: int) -> list[Network]:
    """The networks of these weights, as they teach: without dropout.

    Raises:
        RecipeError: when one is for another number of `intents`, or of another encoder.
    """
    networks = []
    for file in files:
        theirs = intents_of(torch.load(file, weights_only=True, mmap=True))
        if theirs != intents:
            raise RecipeError(
                f"The weights {file} cannot teach: they are for {theirs} intents, these posts have {intents}. Wanted: "
                "a run on the same taxonomy. Correct distillation.teacher in the recipe."
            )
        try:
            networks.append(load_network(encoder_directory, file, "sdpa"))
        except RuntimeError as error:  # how torch refuses weights of other names or shapes
            raise RecipeError(
                f"The weights {file} cannot teach: they do not fit the encoder in {encoder_directory}. Wanted: a run "
                "with the same encoder. Correct distillation.teacher in the recipe."
            ) from error
    return networks
