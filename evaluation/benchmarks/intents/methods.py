"""Who learns the sets: our trainer, two yardsticks, and other people's libraries in environments of their own.

Each method takes a file of texts and a seed and gives logits for the two held-out parts; what they are worth is
`scoring`'s to say. The trainer is started as a command: evaluation does not import it.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.dependencies import needs_group
from data.progress import Say
from evaluation.benchmarks.intents.sets import Set
from evaluation.benchmarks.serving.environments import InstallError, install, program_of
from evaluation.word_counts import word_count_classifier
from models.calibration import FloatArray

with needs_group("evaluate", "The intent benchmark"):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

REQUIREMENTS = Path(__file__).parent / "requirements"
RECIPES = Path("training/recipes/intents")
_REGRESSION_C = 10.0
"""Of the logistic regression on embeddings of length one; set once and never searched."""
TEACHER, TAUGHT = "-teacher", "-taught"
"""Kinds of recipe: of a larger network, and of ours that learns from it."""
_HELD_OUT = ("development", "test")
_OUR_SECONDS_A_TEXT = 0.007
"""A text of Banking77 once: 145 a second in batches of 32 on 2 quiet cores, the vocabulary frozen."""
_TIMES_AS_SLOW = 7
"""A step of the teacher against one of ours: 2.0 and 0.28 s of CLINC150 on one thread."""
_SETFIT_MAX_STEPS, _SETFIT_SECONDS_A_STEP = 2_000, 0.9
"""As its program has it; seconds of one processor for 16 pairs of Banking77 in bfloat16 (1.3 in single precision)."""
_AUTOINTENT_START_S, _AUTOINTENT_SECONDS_A_PAIR = 22, 0.0003
"""Fits 21 s on HINT3's smallest bot and 228 s on Banking77, by training texts times intents."""
_PEER_ENVIRONMENT = {"HF_HUB_OFFLINE": "1"}
"""The encoder is a directory here; no peer is to ask a hub for it or for anything else."""


class MethodError(RuntimeError):
    """A method that gave no logits; says why."""


@dataclass(frozen=True, slots=True)
class Work:
    """One method's task: a set, its file, a seed, and a directory that it may write to."""

    of: Set
    file: Path
    seed: int
    directory: Path
    say: Say

    def recipe(self, kind: str = "") -> Path:
        """The recipe of our trainer for this set, or its `TEACHER` or `TAUGHT`."""
        return RECIPES / f"{self.of.recipe}{kind}.toml"

    def texts(self, part: str) -> list[str]:
        """The texts of a part, in order."""
        return [each.text for each in self.of.texts if each.part == part]

    @property
    def taught(self) -> list[int]:
        """The places `[n]` of the training texts' intents."""
        place = {name: number for number, name in enumerate(self.of.intents)}
        return [place[each.intent] for each in self.of.part("train") if each.intent is not None]


@dataclass(frozen=True, slots=True)
class Logits:
    """What a method says of the two held-out parts, `[n, k]` each."""

    development: FloatArray
    test: FloatArray


@dataclass(frozen=True, slots=True)
class Method:
    """A way to learn a set, and about how many seconds it takes on two cores."""

    name: str
    does: str
    learn: Callable[[Work], Logits]
    estimate_s: Callable[[Work], float]
    recipes: tuple[str, ...] = ("",)
    """The kinds of recipe that it goes by."""

    def fits(self, work: Work) -> bool:
        """Whether the set has all recipes that the method goes by."""
        return all(work.recipe(kind).exists() for kind in self.recipes)


def run_command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON object in the last line that a command writes to stdout; its stderr goes to ours.

    Its environment is ours with what `environment` adds.

    Raises:
        MethodError: when it ends with another code than 0 or says nothing.
    """
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise MethodError(
            f"`{' '.join([Path(words[0]).name, *words[1:3]])}` ended with {done.returncode}; its last words stand above"
        )
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def read_logits(path: Path) -> Logits:
    """The logits in a file that a command left."""
    with np.load(path, allow_pickle=False) as arrays:
        return Logits(arrays["development"].astype(np.float64), arrays["test"].astype(np.float64))


def _train(*words: str) -> dict[str, Any]:
    return run_command([sys.executable, "-m", "training", "intents", *words])


def _run(work: Work, kind: str, *words: str) -> dict[str, Any]:
    runs = str(work.directory / "runs")
    return _train(str(work.file), "--recipe", str(work.recipe(kind)), "--runs", runs, *words)


def _ours(work: Work) -> Logits:
    return read_logits(Path(_run(work, "", "--seed", str(work.seed))["logits"]))


def _taught(work: Work) -> Logits:
    teacher = _run(work, TEACHER)["run"]  # of the seed of its recipe: one teaches the pupils of all seeds
    return read_logits(Path(_run(work, TAUGHT, "--seed", str(work.seed), "--teacher", teacher)["logits"]))


def _a_text(seconds: float) -> Callable[[Work], float]:
    return lambda work: seconds * len(work.of.part("train"))


def _our_estimate_s(work: Work, kind: str = "") -> float:
    settings = tomllib.loads(work.recipe(kind).read_text(encoding="utf-8"))["finetune"]
    texts = len(work.of.part("train")) * int(settings["epochs"]) * int(settings.get("members", 1))
    return _OUR_SECONDS_A_TEXT * texts


def _taught_estimate_s(work: Work) -> float:
    teacher = 0.0 if work.seed else _TIMES_AS_SLOW * _our_estimate_s(work, TEACHER)
    return teacher + _our_estimate_s(work, TAUGHT)


def _setfit_estimate_s(work: Work) -> float:
    return _SETFIT_SECONDS_A_STEP * min(_SETFIT_MAX_STEPS, 2.5 * len(work.of.part("train")))


def _autointent_estimate_s(work: Work) -> float:
    return _AUTOINTENT_START_S + _AUTOINTENT_SECONDS_A_PAIR * len(work.of.part("train")) * len(work.of.intents)


def _word_counts(work: Work) -> Logits:
    classifier = word_count_classifier(work.seed).fit(work.texts("train"), work.taught)
    return Logits(*(_decide(classifier.decision_function, work.texts(part), work) for part in _HELD_OUT))


def _decide(decide: Callable[[Any], FloatArray], rows: Any, work: Work) -> FloatArray:
    """What a classifier of scikit-learn says of these rows, `[n, k]`; for two intents it says one column."""
    if not len(rows):
        return np.zeros((0, len(work.of.intents)))
    said = np.asarray(decide(rows))
    return np.stack([-said, said], axis=1) if said.ndim == 1 else said


def _embedded(work: Work) -> tuple[Path, Path]:
    """Where the embeddings `[n, d]` of the set's texts lie, made once, and the pretrained encoder that made them."""
    key = hashlib.sha256(work.file.read_bytes() + work.recipe().read_bytes()).hexdigest()[:10]
    out, said = work.directory / f"embeddings-{key}.npy", work.directory / f"embeddings-{key}.json"
    answer = json.loads(said.read_text(encoding="utf-8")) if said.exists() else None
    if answer is None or not Path(answer["encoder"]).is_dir():  # it lies in an environment, which may be gone since
        answer = _train(str(work.file), "--recipe", str(work.recipe()), "--embed", str(out))
        said.write_text(json.dumps(answer), encoding="utf-8")
    return out, Path(answer["encoder"])


def _frozen(work: Work) -> Logits:
    rows = normalize(np.load(_embedded(work)[0], allow_pickle=False))
    of_part = {
        part: rows[[place for place, each in enumerate(work.of.texts) if each.part == part]]
        for part in ("train", *_HELD_OUT)
    }
    regression = LogisticRegression(C=_REGRESSION_C, max_iter=1_000, random_state=work.seed)
    regression.fit(of_part["train"], work.taught)
    return Logits(*(_decide(regression.decision_function, of_part[part], work) for part in _HELD_OUT))


def _peer(name: str) -> Callable[[Work], Logits]:
    """The method that runs `peers/NAME_program.py` in that peer's environment."""

    def learn(work: Work) -> Logits:
        try:
            install(name, work.say, REQUIREMENTS)
        except InstallError as error:
            raise MethodError(f"not installed: {error}") from error
        python = str(program_of(name, "python", REQUIREMENTS))
        out = work.directory / f"{name}-{work.seed}.npz"
        program = f"evaluation.benchmarks.intents.peers.{name}_program"
        encoder = str(_embedded(work)[1])
        run_command([python, "-m", program, str(work.file), encoder, str(work.seed), str(out)], _PEER_ENVIRONMENT)
        return read_logits(out)

    return learn


METHODS: dict[str, Method] = {
    each.name: each
    for each in (
        Method("tfidf-svc", "TF-IDF of words and pieces of words, linear SVC", _word_counts, _a_text(0.002)),
        Method("frozen-lr", "the same encoder, frozen, mean-pooled; logistic regression", _frozen, _a_text(0.006)),
        Method("signalbox", "our trainer, one head, the recipe of the set", _ours, _our_estimate_s),
        Method(
            "signalbox-taught",
            "our trainer, one head, taught by a network of 110 million weights",
            _taught,
            _taught_estimate_s,
            ("", TEACHER, TAUGHT),
        ),
        Method("setfit", "SetFit with a logistic head, the same encoder", _peer("setfit"), _setfit_estimate_s),
        Method(
            "autointent",
            "AutoIntent, preset classic-light, the same encoder",
            _peer("autointent"),
            _autointent_estimate_s,
        ),
    )
}
