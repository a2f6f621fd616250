"""The ledger: one JSON line for every change of champion, each with the hash of the line before. Lines are only added.

MLflow keeps no history of which version was champion (mlflow issue 2169); this file does, and needs nothing to be read.
A line that is changed, taken out or put in breaks the chain behind it. The last line has none behind it: whoever wants
to see that changed too keeps its hash (`python -m training ledger` prints it) elsewhere and gives it with --head.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models.bundle import Sha256
from training.errors import LedgerError

LEDGER_FILE = "ledger.jsonl"
FIRST = "0" * 64
"""What stands for the line before the first."""
Words = Annotated[str, Field(min_length=1, max_length=2_000)]


class Line(BaseModel):
    """One change of champion: who, when, from which bundle to which, why, and on which report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["1"] = "1"
    at: AwareDatetime
    by: Words
    action: Literal["promote", "rollback"]
    champion: str
    """The name of the directory that was replaced."""
    from_version: str
    from_manifest_sha256: Sha256
    to_version: str
    to_manifest_sha256: Sha256
    data_fingerprint: str
    """Of the posts that the new champion was made from."""
    report_sha256: Sha256 | None
    """Of `comparison.json`; none for a rollback."""
    posts_fingerprint: str | None
    """Of the posts of that report."""
    gate_passed: bool | None
    reason: Words
    override: Words | None = None
    """Why a person promoted although the gate was not passed."""
    previous_sha256: Sha256


def hash_of(line: bytes) -> str:
    """The SHA-256 of a line as it stands in the file, without its end."""
    return hashlib.sha256(line).hexdigest()


def text_of(line: Line) -> str:
    """The line as it stands in the file, without its end."""
    return json.dumps(line.model_dump(mode="json"), ensure_ascii=False)


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a ledger; none where there is no file. What a kill left of a last line has no end and is none."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def read_ledger(path: Path, head: str | None = None) -> tuple[Line, ...]:
    """All lines of the ledger, oldest first, the chain of their hashes checked.

    `head` is the hash of a line that was the last one once.

    Raises:
        LedgerError: when a line is none, does not follow from the one before, or `head` is not there any more.
    """
    lines, previous, seen = [], FIRST, {FIRST}
    for number, text in enumerate(_whole_lines(path), start=1):
        try:
            line = Line.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the line"
            raise LedgerError(
                f"The ledger {path}, line {number}, is not valid: {place}: {first['msg']}. Wanted a line as it was "
                "written. Restore the file from its last good copy."
            ) from None
        if line.previous_sha256 != previous:
            raise LedgerError(
                f"The ledger {path} was tampered with: line {number} follows a line with hash {line.previous_sha256}, "
                f"the line before it has {previous}. Wanted an unbroken chain. Restore the file from a good copy."
            )
        lines.append(line)
        previous = hash_of(text)
        seen.add(previous)
    if head is not None and head not in seen:
        raise LedgerError(
            f"The ledger {path} was tampered with: none of its {len(lines)} lines has the hash {head}, which was its "
            "last one once. Restore the file from its last good copy."
        )
    return tuple(lines)


def head_of(path: Path) -> str:
    """The hash of the last line."""
    lines = _whole_lines(path)
    return hash_of(lines[-1]) if lines else FIRST


def append(path: Path, text: str) -> None:
    """Adds a line, on the disk when this returns; what a kill left of it before is completed, and it stands once.

    Raises:
        OSError: when it cannot be written; the lines before it are as they were.
    """
    lines = _whole_lines(path)
    if lines and lines[-1] == text.encode():
        return
    whole = sum(len(line) + 1 for line in lines)
    with path.open("a+b") as file:
        file.truncate(whole)
        file.write(f"{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def to_undo(lines: Sequence[Line], champion: str) -> Line | None:
    """The newest promotion in the directory of that name that was not undone yet, `None` where there is none."""
    standing: list[Line] = []
    for line in [line for line in lines if line.champion == champion]:
        if line.action == "promote":
            standing.append(line)
        elif standing:
            standing.pop()
    return standing[-1] if standing else None
