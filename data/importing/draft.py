"""The first mapping file and the first taxonomy as text, for a person to correct. Owns how they are laid out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from data.importing.posts import cell_text, folded
from data.importing.suggestion import Guess
from data.importing.tables import Table
from data.rejects import SourceError


def _string(text: str) -> str:
    """A TOML basic string: as JSON writes it, and DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _lines(heading: str, values: Mapping[str, str], notes: Mapping[str, str] | None = None) -> Iterator[str]:
    if not values:
        return
    yield f"\n[{heading}]"
    for name, value in values.items():
        note = (notes or {}).get(name)
        yield f"{_key(name)} = {_string(value)}" + (f"  # {note}" if note else "")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalnum() else _string(name)


def _counted(table: Table, column: str, values: Mapping[str, str]) -> dict[str, str]:
    rows = Counter(cell_text(row.values.get(column)).strip() for row in table.rows)
    return {value: f"{rows[value]} rows" for value in values}


def mapping_text(table: Table, guess: Guess) -> str:
    """The mapping file of a guess, with a remark where it is less than sure."""
    left = [name for name in table.columns if name not in guess.columns.values()]
    lines = [
        "# Guessed from names and values: correct what is wrong, then",
        "#   python -m data import FILE --mapping THIS --out my-posts.jsonl",
        f"# Read as {table.described}.",
        *([f"# Not used: {', '.join(left)}".replace("\n", " ")] if left else []),
        *_lines("columns", guess.columns),
        *_lines("constants", guess.constants, guess.notes),
        *_lines("formats", guess.formats, guess.notes),
    ]
    for field, values in guess.values.items():
        counted = _counted(table, guess.columns[field], values)
        lines += _lines(f"values.{field}", values, counted)
    return "\n".join(lines) + "\n"


def taxonomy_text(table: Table, guess: Guess, version: str) -> str:
    """A taxonomy of the intents that the table has, each with a sentence to be written.

    Raises:
        SourceError: when no column holds intents.
    """
    column = guess.columns.get("intent")
    if column is None:
        raise SourceError(
            f"No taxonomy was written: no column of {table.file} looks like intents, of "
            f"{', '.join(map(repr, table.columns))}. Wanted one of 2 to 256 names. "
            "Write the taxonomy by hand (docs/data.md)."
        )
    rows = Counter(folded(cell_text(row.values.get(column)))[:64] for row in table.rows if row.values.get(column))
    intents = {name: f"TODO: what {name} is about." for name in sorted(rows)}
    notes = {name: f"{rows[name]} rows" for name in intents}
    head = f"# The intents of {table.file}: say what each is about.\nversion = {_string(version)}"
    return "\n".join([head, *_lines("intents", intents, notes)]) + "\n"
