"""What networks that teach say: where another run left them, and their answers on every reading, asked once.

A teacher may be of another encoder, with another tokenizer, and too slow to be asked again at every step. So each says
once what it thinks of every post, with and without its author, and the answers are kept. A roughened text, or one under
a stranger's name, is taught what the teachers say of the text as it was written, for what it means is the same.
"""

import hashlib
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from data.output import whole_file
from data.progress import Watch, unwatched
from data.rendering import Rendered
from training.development import predict_logits
from training.encoder import find_encoder, read_encoder
from training.errors import RecipeError
from training.examples import Encoder, Example, Said
from training.finetune import BEST_FILE, CHECKPOINT_EVERY_S, is_trained
from training.network import Network, intents_of, load_network
from training.objectives import mean_logits
from training.recipe import DistillationRecipe, Recipe, read_recipe, recipe_toml

MEMBERS_WEIGHTS = f"member-*/{BEST_FILE}"
"""What a run leaves of each of its members."""
RECIPE_FILE = "recipe.toml"
"""The resolved recipe of a run, beside its members: who learns from them must read as they do."""
_CORRECT = "Correct distillation.teacher in the recipe."
_KEEP = "Name a file that `python -m training ask` wrote: --keep FILE."
_TEXTS_AT_A_TIME = 64
"""How many are asked about between two moments at which what was said can be kept."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """The weights of a network (a state dict file), its pretrained encoder, and the recipe that it was made by."""

    weights: Path
    encoder_directory: Path
    recipe: Recipe


def write_recipe(recipe: Recipe, directory: Path) -> None:
    """Nothing; the run in `directory` says by which recipe it is made."""
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / RECIPE_FILE) as file:
        file.write(recipe_toml(recipe))


def find_sources(distillation: DistillationRecipe) -> tuple[Path, ...]:
    """The files that what is taught depends on: the weights of another run's members, or one of answers; or none.

    Raises:
        RecipeError: when there is neither, no recipe beside the weights, or a member that is not trained to its end.
    """
    place = distillation.elsewhere
    if place is None:
        return ()
    if place.is_file():
        return (place,)
    files = tuple(sorted(place.glob(MEMBERS_WEIGHTS)))
    if not files or not (place / RECIPE_FILE).exists():
        raise RecipeError(
            f"The run {place} cannot teach: it has no {RECIPE_FILE if files else MEMBERS_WEIGHTS}. Wanted: the "
            "directory of a run whose members are trained (runs/NAME-KEY), a file of what they said, or none, or "
            f"members. {_CORRECT}"
        )
    settings = read_recipe(place / RECIPE_FILE).finetune
    ended = sum(is_trained(file.parent, settings) for file in files)
    if ended < settings.members:
        raise RecipeError(
            f"The run {place} cannot teach yet: {ended} of its {settings.members} members are trained to their end. "
            "Wanted: all of them. Give the command that began it again, it goes on; or name another run. "
            f"{_CORRECT}"
        )
    return files


def find_teachers(distillation: DistillationRecipe) -> tuple[Teacher, ...]:
    """The members of the run that is to teach, with what they read with; none where no other run is to be asked.

    Raises:
        RecipeError: as `find_sources`, or when the recipe beside them cannot be read.
        EncoderError: when their encoder is nowhere.
    """
    files = find_sources(distillation)
    if not files or files[0] == distillation.elsewhere:
        return ()
    recipe = read_recipe(files[0].parent.parent / RECIPE_FILE)
    home = find_encoder(recipe.encoder)
    return tuple(Teacher(file, home, recipe) for file in files)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A teacher that can be asked."""

    network: Network
    encoder: Encoder
    bf16: bool


def _load(teacher: Teacher, intents: int) -> _Loaded:
    file, home = teacher.weights, teacher.encoder_directory
    theirs = intents_of(torch.load(file, weights_only=True, mmap=True))
    if theirs != intents:
        raise RecipeError(
            f"The weights {file} cannot teach: they are for {theirs} intents, these posts have {intents}. Wanted: "
            f"a run on the same taxonomy. {_CORRECT}"
        )
    try:
        network = load_network(home, file, "sdpa")
    except RuntimeError as error:  # how torch refuses weights of other names or shapes
        raise RecipeError(
            f"The weights {file} cannot teach: they do not fit the encoder in {home}, which the recipe beside them "
            f"names. Wanted: a run as its training left it. {_CORRECT}"
        ) from error
    return _Loaded(network, read_encoder(teacher.recipe.reading, home), teacher.recipe.finetune.bf16)


def _ask(teachers: Sequence[_Loaded], pairs: Sequence[Rendered], temperature: float) -> Iterator[Said]:
    """What the teachers say of each pair together."""
    answers = []
    for each in teachers:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=each.bf16):
            answers.append([torch.from_numpy(said) for said in predict_logits(each.network, each.encoder, pairs)])
    routes, intents = (mean_logits(said, temperature) for said in zip(*answers, strict=True))
    return map(Said, routes, intents)


def _keys(pairs: Sequence[Rendered]) -> list[int]:
    """The first eight bytes of the SHA-256 of each pair: two of a million share them once in 40 million tries."""
    digests = (hashlib.sha256(f"{pair.text}\0{pair.context}".encode()).digest() for pair in pairs)
    return [int.from_bytes(digest[:8], "big") for digest in digests]


def _as_one(teachers: Sequence[Teacher]) -> str:
    """The first ten characters of a fingerprint of the weights of all `teachers`, in their order."""
    digest = hashlib.sha256()
    for teacher in teachers:
        with teacher.weights.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return digest.hexdigest()[:10]


def _read_answers(file: Path, *, intents: int, temperature: float, named: str = _CORRECT) -> dict[int, Said]:
    """What is said of each text in `file`, by its key; `named` says where another file could be."""
    try:
        with file.open("rb") as opened, np.load(opened) as kept:  # numpy leaves open what it cannot read
            answers = {name: kept[name] for name in ("keys", "route", "intent", "temperature")}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RecipeError(
            f"The answers {file} could not be read: {type(error).__name__}. Wanted a file by `python -m training ask`. "
            f"{named}"
        ) from error
    if answers["intent"].shape[1] != intents or float(answers["temperature"]) != temperature:
        raise RecipeError(
            f"The answers {file} are for {answers['intent'].shape[1]} intents at temperature "
            f"{float(answers['temperature'])}, wanted {intents} at {temperature}. Ask again: python -m training ask. "
            f"{named}"
        )
    return {
        int(key): Said(torch.from_numpy(route).float(), torch.from_numpy(intent).float())
        for key, route, intent in zip(answers["keys"], answers["route"], answers["intent"], strict=True)
    }


def _write_answers(said: Mapping[int, Said], file: Path, temperature: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.new")
    with scratch.open("wb") as whole:
        np.savez_compressed(
            whole,
            keys=np.array(list(said), dtype=np.uint64),
            route=torch.stack([each.route for each in said.values()]).numpy().astype(np.float16),
            intent=torch.stack([each.intent for each in said.values()]).numpy().astype(np.float16),
            temperature=temperature,
        )
    scratch.replace(file)


def ask_teachers(
    teachers: Sequence[Teacher],
    examples: Sequence[Example],
    file: Path,
    *,
    intents: int,
    temperature: float,
    keep: Path | None = None,
    watch: Watch = unwatched,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> int:
    """How many texts were asked about; `file` (.npz) holds what is said of all examples. None where it was there.

    The probabilities of the teachers, softened by `temperature`, are averaged. Of texts that the file `keep` knows its
    answers stand, whoever gave them. Texts are known by their hashes alone, so that the file gives nothing away. What
    was said before a sitting was cut off is kept beside `file` and not asked again of the same teachers.

    Raises:
        RecipeError: when a teacher is for another number of `intents`, or does not fit its encoder, or `keep` is no
            file of answers or is of other intents or another temperature.
    """
    if file.exists():
        return 0
    texts = list(dict.fromkeys(pair for each in examples for pair in (each.full, each.anonymous)))
    wanted = dict(zip(_keys(texts), texts, strict=True))
    partial = file.with_name(f"{file.name}.{_as_one(teachers)}-{temperature:g}.partial")
    known = _read_answers(keep, intents=intents, temperature=temperature, named=_KEEP) if keep else {}
    said = _read_answers(partial, intents=intents, temperature=temperature) if partial.exists() else {}
    missing = sorted(
        wanted.keys() - known.keys() - said.keys(), key=lambda key: len(wanted[key].text) + len(wanted[key].context)
    )
    starts = range(0, len(missing), _TEXTS_AT_A_TIME)
    loaded = [_load(teacher, intents) for teacher in teachers] if missing else []
    kept_at = time.monotonic()
    for start in watch(starts, "asking", len(starts)):
        keys = missing[start : start + _TEXTS_AT_A_TIME]
        said |= zip(keys, _ask(loaded, [wanted[key] for key in keys], temperature), strict=True)
        if time.monotonic() - kept_at >= checkpoint_every_s:
            _write_answers(said, partial, temperature)
            kept_at = time.monotonic()
    said |= known
    _write_answers({key: said[key] for key in wanted}, file, temperature)
    partial.unlink(missing_ok=True)
    return len(missing)


def taught(examples: Sequence[Example], file: Path, *, intents: int, temperature: float) -> tuple[Example, ...]:
    """The examples, each with what teachers said of it in `file`.

    Raises:
        RecipeError: when `file` is no file of answers, is of other `intents` or another `temperature`, or says
            nothing of an example.
    """
    said = _read_answers(file, intents=intents, temperature=temperature)
    asked = zip(_keys([each.full for each in examples]), _keys([each.anonymous for each in examples]), strict=True)
    answered = [(said.get(full), said.get(anonymous)) for full, anonymous in asked]
    missing = sum(None in each for each in answered)
    if missing:
        raise RecipeError(
            f"The answers {file} say nothing of {missing} of {len(examples)} posts. Wanted: what teachers say of every "
            f"post of the recipe. Ask again: python -m training ask. {_CORRECT}"
        )
    return tuple(
        replace(each, said=(full, anonymous))
        for each, (full, anonymous) in zip(examples, answered, strict=True)
        if full and anonymous
    )
