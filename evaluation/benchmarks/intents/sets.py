"""The published sets as texts in three parts. Owns readers, folded names, and what is held out of training.

They are read where they lie (`--data DIR`) or by name from the hub; nothing of them is kept in this repository.
"""

import csv
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from data.formats import dataset_rows
from data.output import whole_file

Part = Literal["train", "development", "test"]
HUB = "hub"
HELD_SHARE, HELD_SEED = 0.2, 2026
_LEAST_TO_HOLD = 5
"""An intent with fewer texts gives none of them away."""
HINT3_BOTS = ("curekart", "powerplay11", "sofmattress")
NOT_LETTERS = re.compile(r"[^a-z0-9]+")


class SetError(ValueError):
    """A set that cannot be read; says where, and what was wanted."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a set; no `intent` means out of scope."""

    part: Part
    text: str
    intent: str | None


@dataclass(frozen=True, slots=True)
class Set:
    """A set as it is trained and measured. `recipe` names its file in `training/recipes/intents/`."""

    name: str
    recipe: str
    texts: tuple[Text, ...]

    def part(self, name: Part) -> list[Text]:
        """The texts of one part, in order."""
        return [text for text in self.texts if text.part == name]

    @property
    def intents(self) -> tuple[str, ...]:
        """What its training texts teach, sorted: the order of all logits."""
        return tuple(sorted({text.intent for text in self.texts if text.part == "train" and text.intent is not None}))


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file, and where it stands."""

    where: str
    values: Mapping[str, str]


def fold_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as one of ours: small letters, digits and underscores.

    Raises:
        SetError: when two names become one, or nothing is left of a name.
    """
    folded: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name in sorted(set(names)):
        short = NOT_LETTERS.sub("_", name.lower()).strip("_")
        if not short or owner.setdefault(short, name) != name:
            why = f"{owner[short]!r} becomes {short!r} too" if short else "no letter or digit"
            raise SetError(
                f"The intent {name!r} could not be named: {why}. "
                "Wanted names that differ in letters or digits. Rename one in the data."
            )
        folded[name] = short
    return folded


def _read(path: Path, *columns: str) -> list[_Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [_Row(f"{path}, row {number}", row) for number, row in enumerate(csv.DictReader(file), start=1)]
    except OSError as error:
        raise SetError(
            f"{path} could not be read: {error.strerror}. Wanted a CSV file with the columns {', '.join(columns)}. "
            "Name the directory that holds it with --data."
        ) from None
    for row in rows:
        lacking = [column for column in columns if not (row.values.get(column) or "").strip()]
        if lacking:
            raise SetError(f"{row.where}: {lacking[0]} is missing or empty. Wanted a value. Correct that row.")
    if not rows:
        raise SetError(f"{path} holds no rows. Wanted a header and texts with labels. Write the file again.")
    return rows


def _named(rows: Sequence[tuple[Part, str, str, bool]]) -> tuple[Text, ...]:
    """Texts of rows (part, text, label, in scope), the labels folded, those in scope held against those taught."""
    names = fold_names(label for _, _, label, inside in rows if inside)
    taught = {names[label] for part, _, label, inside in rows if part == "train" and inside}
    strange = sorted({names[label] for _, _, label, inside in rows if inside} - taught)
    if strange:
        raise SetError(f"The intent {strange[0]!r} has no training text. Wanted one or more. Compare the files.")
    return tuple(Text(part, text.strip(), names[label] if inside else None) for part, text, label, inside in rows)


def hold_out(texts: Sequence[Text], share: float = HELD_SHARE, seed: int = HELD_SEED) -> tuple[Text, ...]:
    """The texts with that share of each intent's training texts moved to `development`, the same every time."""
    draw = random.Random(seed)
    of_intent: dict[str | None, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        if text.part == "train":
            of_intent[text.intent].append(place)
    held: set[int] = set()
    for places in of_intent.values():
        if len(places) >= _LEAST_TO_HOLD:
            held.update(draw.sample(places, max(1, round(share * len(places)))))
    return tuple(replace(text, part="development") if place in held else text for place, text in enumerate(texts))


def _hub_rows(source: str) -> list[_Row]:
    """The rows of a set on the hub as (split, text, label), its labels by name."""
    return [
        _Row(
            f"{row.file}, row {row.line}",
            {
                "split": row.file.rpartition(":")[2],
                "text": str(row.values["text"]),
                "label": str(row.values.get("label", row.values.get("intent"))),
            },
        )
        for row in dataset_rows(source)
    ]


BANKING77_ON_HUB, CLINC150_ON_HUB = "hf:PolyAI/banking77", "hf:clinc_oos:plus"


def _banking77_rows(data: str) -> list[_Row]:
    if data == HUB:
        return _hub_rows(BANKING77_ON_HUB)
    return [
        replace(row, values={**row.values, "split": split})
        for split in ("train", "test")
        for row in _read(Path(data) / "banking77" / f"{split}.csv", "text", "label")
    ]


def banking77(data: str) -> Iterator[Set]:
    """Banking77 (Casanueva et al. 2020, arXiv 2003.04807), its own split; nothing is held out."""
    rows = _banking77_rows(data)
    yield Set("banking77", "banking77", _named([(_PARTS[r.values["split"]], *_pair(r), True) for r in rows]))


def banking77_10shot(data: str) -> Iterator[Set]:
    """Ten texts an intent (Zhang et al. 2021, arXiv 2109.06349), the whole test part."""
    if data == HUB:
        raise SetError(
            "banking77-10shot could not be read from the hub: this split is published as files. Wanted "
            "banking77/train_10shot.csv of the few-shot split. Name the directory above it with --data."
        )
    few = _read(Path(data) / "banking77" / "train_10shot.csv", "text", "label")
    test = _read(Path(data) / "banking77" / "test.csv", "text", "label")
    rows: list[tuple[Part, str, str, bool]] = [("train", *_pair(row), True) for row in few]
    yield Set("banking77-10shot", "banking77-10shot", _named([*rows, *(("test", *_pair(r), True) for r in test)]))


_PARTS: dict[str, Part] = {
    "train": "train",
    **dict.fromkeys(("val", "validation", "oos_val"), "development"),
    **dict.fromkeys(("test", "oos_test"), "test"),
}
_OUTSIDE = {"oos", "NO_NODES_DETECTED"}
"""What CLINC150 and HINT3 call a text that has none of the intents."""


def _pair(row: _Row) -> tuple[str, str]:
    return row.values["text"], row.values["label"]


def clinc150(data: str) -> Iterator[Set]:
    """CLINC150 (Larson et al. 2019, arXiv 1909.02027), its own split without `oos_train`."""
    local = Path(data) / "clinc150" / "data.csv"
    rows = _hub_rows(CLINC150_ON_HUB) if data == HUB else _read(local, "split", "text", "label")
    kept = []
    for row in rows:
        split, outside = row.values["split"], row.values["label"] in _OUTSIDE
        if split not in {*_PARTS, "oos_train"}:
            raise SetError(f"{row.where}: split is {split!r}; wanted train, val, test or oos_ and one of them.")
        if split != "oos_train" and not (split == "train" and outside):
            kept.append((_PARTS[split], *_pair(row), not outside))
    yield Set("clinc150", "clinc150", _named(kept))


def hint3(data: str) -> Iterator[Set]:
    """The three bots of HINT3 (Arora et al. 2020, arXiv 2009.13833); a fifth of their training texts is held out."""
    if data == HUB:
        raise SetError(
            "hint3 could not be read from the hub: it is published as files. Wanted hint3/data.csv with sentence, "
            "label, bot and split. Name the directory above it with --data."
        )
    rows = _read(Path(data) / "hint3" / "data.csv", "sentence", "label", "bot", "split")
    for bot in HINT3_BOTS:
        kept: list[tuple[Part, str, str, bool]] = [
            (_PARTS[row.values["split"]], row.values["sentence"], row.values["label"], not outside)
            for row in rows
            if row.values["bot"] == bot
            for outside in [row.values["label"] in _OUTSIDE]
        ]
        yield Set(f"hint3-{bot}", "hint3", hold_out(_named(kept)))


SETS: dict[str, Callable[[str], Iterator[Set]]] = {
    "banking77": banking77,
    "banking77-10shot": banking77_10shot,
    "clinc150": clinc150,
    "hint3": hint3,
}


def read_sets(names: Sequence[str], data: str) -> list[Set]:
    """The sets of these names, from a directory or, where `data` is `hub`, by name from the hub.

    Raises:
        SetError, SourceError: when one is unknown or cannot be read.
    """
    unknown = [name for name in names if name not in SETS]
    if unknown:
        raise SetError(f"There is no set {unknown[0]!r}. Wanted some of {', '.join(SETS)}. Correct --sets.")
    return [each for name in names for each in SETS[name](data)]


def write_set(path: Path, each: Set) -> None:
    """Nothing; the file holds the set as `python -m training intents` reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        for text in each.texts:
            row = {"part": text.part, "text": text.text, "intent": text.intent}
            file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
