"""A whole run: every method on every set with every seed, what is done kept, what failed told.

Logits of each cell are kept with a key over texts, recipe and method; a cell that has them is only scored again. Our
trainer goes on inside a cell too, from its own checkpoint.
"""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.output import whole_file
from data.progress import Say
from evaluation.benchmarks.intents.methods import METHODS, Logits, Method, MethodError, Work, read_logits
from evaluation.benchmarks.intents.results import Cell, Missing, Results, Size, write_results
from evaluation.benchmarks.intents.scoring import OUTSIDE, Scored, score
from evaluation.benchmarks.intents.sets import Set, SetError, Text, write_set

JSON_FILE = "intents.json"
MAX_LOST = {"clinc150": 0.01, "hint3": 0.05}
"""Share of the rightly answered development texts that a threshold may turn away, by recipe; set once, before any
result was seen. HINT3's development texts are of the training kind, easier than what users ask: more may go."""
_NONE_LOST = 0.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A cell to be measured."""

    method: Method
    work: Work
    home: Path

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.method.name} on {self.work.of.name}, seed {self.work.seed}"

    @property
    def key(self) -> str:
        """Another one for other texts, another recipe or another method."""
        recipes = b"".join(self.work.recipe(kind).read_bytes() for kind in self.method.recipes)
        return hashlib.sha256(self.work.file.read_bytes() + recipes + self.method.does.encode()).hexdigest()

    @property
    def done_s(self) -> float | None:
        """The seconds that it took, where it is done."""
        try:
            said: dict[str, Any] = json.loads(self.home.with_suffix(".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return float(said["seconds"]) if said["key"] == self.key and self.home.exists() else None


def plan(sets: Sequence[Set], methods: Sequence[str], seeds: int, out: Path, say: Say) -> list[Planned]:
    """Every cell of a run, in the order of `methods`, so that the quick ones come first; the sets are written to `out`.

    A method is left out where the set has no recipe for it.

    Raises:
        SetError: when a method is unknown.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise SetError(f"There is no method {unknown[0]!r}. Wanted some of {', '.join(METHODS)}. Correct --methods.")
    planned = []
    for each in sets:
        write_set(out / each.name / "texts.jsonl", each)
    for name in methods:
        for each in sets:
            for seed in range(seeds):
                home = out / each.name
                work = Work(each, home / "texts.jsonl", seed, home, say)
                if METHODS[name].fits(work):
                    planned.append(Planned(METHODS[name], work, home / f"{name}-{seed}.logits.npz"))
    return planned


def _clock(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def describe(planned: Sequence[Planned]) -> str:
    """How many cells are left, and how long they take on two cores."""
    left = [each for each in planned if each.done_s is None]
    of_method = {each.method.name: 0.0 for each in left}
    for each in left:
        of_method[each.method.name] += each.method.estimate_s(each.work)
    parts = ", ".join(f"{name} {_clock(seconds)}" for name, seconds in of_method.items())
    total = f"about {_clock(sum(of_method.values()))} on 2 quiet cores ({parts})" if left else "nothing to do"
    return f"{len(planned)} cells, {len(planned) - len(left)} done: {total}"


def _keep(planned: Planned, logits: Logits, seconds: float) -> None:
    scratch = planned.home.with_suffix(".partial")
    with scratch.open("wb") as file:
        np.savez(file, development=logits.development.astype(np.float32), test=logits.test.astype(np.float32))
    scratch.replace(planned.home)
    with whole_file(planned.home.with_suffix(".json")) as said:
        said.write(json.dumps({"key": planned.key, "seconds": seconds}))


def _places(texts: Sequence[Text], names: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    place = {name: number for number, name in enumerate(names)}
    return np.array([OUTSIDE if each.intent is None else place[each.intent] for each in texts], dtype=np.int64)


def score_cell(of: Set, logits: Logits) -> Scored:
    """The figures of these logits on the set.

    Raises:
        MethodError: when they are not one row a text and one column an intent, or no finite numbers.
    """
    parts = []
    for part, said in (("development", logits.development), ("test", logits.test)):
        true = _places([each for each in of.texts if each.part == part], of.intents)
        if said.shape != (len(true), len(of.intents)) or not np.isfinite(said).all():
            raise MethodError(
                f"its logits for the part {part} have the shape {list(said.shape)}; wanted finite numbers, "
                f"{[len(true), len(of.intents)]}"
            )
        parts.append((said, true))
    return score(parts[0], parts[1], of.intents, MAX_LOST.get(of.recipe, _NONE_LOST))


def measure(planned: Planned) -> Cell:
    """The cell, learnt now or taken from an earlier sitting.

    Raises:
        MethodError: when the method gives no logits that fit.
    """
    seconds = planned.done_s
    if seconds is None:
        planned.work.say(f"{planned.name}: about {_clock(planned.method.estimate_s(planned.work))}")
        start = time.monotonic()
        logits = planned.method.learn(planned.work)
        seconds = time.monotonic() - start
        scored = score_cell(planned.work.of, logits)
        _keep(planned, logits, seconds)
    else:
        scored = score_cell(planned.work.of, read_logits(planned.home))
    return Cell(
        set=planned.work.of.name, method=planned.method.name, seed=planned.work.seed, seconds=seconds, scored=scored
    )


def _size(of: Set, file: Path) -> Size:
    test = of.part("test")
    outside = sum(each.intent is None for each in test)
    return Size(
        set=of.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        intents=len(of.intents),
        train=len(of.part("train")),
        development=len(of.part("development")),
        test=len(test) - outside,
        out_of_scope=outside,
    )


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def run(planned: Sequence[Planned], out: Path, say: Say) -> Results:
    """The results of all cells, also written to `out`; a cell that fails is named with its reason, the others go on."""
    cells, missing = [], []
    for each in planned:
        try:
            cells.append(measure(each))
        except MethodError as error:
            say(f"{each.name} was not measured: {error}")
            missing.append(
                Missing(set=each.work.of.name, method=each.method.name, seed=each.work.seed, reason=str(error))
            )
    sizes = {each.work.of.name: _size(each.work.of, each.work.file) for each in planned}
    results = Results(
        made_at=datetime.now(UTC).replace(microsecond=0),
        git_commit=_commit(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        sizes=tuple(sizes.values()),
        cells=tuple(cells),
        missing=tuple(missing),
    )
    write_results(out / JSON_FILE, results)
    return results
