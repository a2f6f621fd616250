"""What a run has to say and has not yet delivered: kept in files, so that neither an outage nor `kill -9` loses a word.

Words are delivered in order. Nothing here knows to whom.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.output import whole_file

WORDS_FILE = "untold.jsonl"
FILES = "untold"

Word = dict[str, Any]
"""One thing to say, as plain values: what kind (`kind`), and all that it takes to say it later."""
Deliver = Callable[[Word], None]


class RefusedError(Exception):
    """The word was heard and refused; to repeat it would not help."""


class UnreachableError(Exception):
    """Nobody heard."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a delivery: how many words were delivered, why it stopped, and what was refused."""

    delivered: int
    stopped: str | None
    refused: tuple[str, ...]


class Outbox:
    """The words that wait in `directory`, first to be said first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._words: list[Word] = self._read()
        self._refused: list[Word] = []

    def __len__(self) -> int:
        return len(self._words) + len(self._refused)

    def _read(self) -> list[Word]:
        try:
            lines = (self._directory / WORDS_FILE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def _write(self) -> None:
        waiting = [*self._refused, *self._words]
        path = self._directory / WORDS_FILE
        if not waiting:
            path.unlink(missing_ok=True)
            shutil.rmtree(self._directory / FILES, ignore_errors=True)
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.writelines(f"{json.dumps(word)}\n" for word in waiting)

    def add(self, word: Word) -> None:
        """Nothing; the word waits, on disk."""
        self._words.append(word)
        self._write()

    def drop(self, kind: str) -> None:
        """Nothing; no word of that kind waits any more."""
        self._words = [word for word in self._words if word["kind"] != kind]
        self._write()

    def deliver(self, deliver: Deliver) -> Delivery:
        """What came of delivering every word that waits: it stops where nobody hears and leaves out what is refused."""
        delivered, refused, stopped = 0, list[str](), None
        try:
            while self._words and stopped is None:
                try:
                    deliver(self._words[0])
                    delivered += 1
                except RefusedError as error:
                    refused.append(str(error))
                    self._refused.append(self._words[0])
                except UnreachableError as error:
                    stopped = str(error)
                    break
                del self._words[0]
        finally:
            self._write()
        return Delivery(delivered, stopped, tuple(refused))

    def secure(self) -> None:
        """Nothing; the files that waiting words speak of are copied here, whatever becomes of them elsewhere."""
        for word in [*self._refused, *self._words]:
            kept = self._directory / FILES / str(word.get("name"))
            if "path" not in word or Path(word["path"]) == kept or not Path(word["path"]).exists():
                continue
            scratch = kept.with_name(f".{kept.name}")
            scratch.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(word["path"], scratch)
            shutil.rmtree(kept, ignore_errors=True)
            scratch.rename(kept)
            word["path"] = str(kept)
        self._write()
