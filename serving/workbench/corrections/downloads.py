"""Corrections as labelled files: the lines of `python -m serving export-corrections`, and the same as CSV."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response

from data.spreadsheet import guarded
from serving.journal.restoration import Exported
from serving.workbench.files import as_csv, as_file

_OF_AUTHOR = ("followers", "verified", "bio")


def name_of(exported: Exported, ending: str) -> str:
    """The name of the file. It says how many of the corrected posts could not be had as labelled ones."""
    left_out = f"-without-{exported.left_out}" if exported.left_out else ""
    return f"corrections-{len(exported.lines)}{left_out}.{ending}"


def as_jsonl(exported: Exported) -> Response:
    """The file that `python -m data check` takes."""
    return as_file("".join(exported.text()), name_of(exported, "jsonl"), "application/x-ndjson")


def _cells(line: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The values of a labelled post by their columns; what it knows of author and reach has columns of its own."""
    author, reach = line.get("author") or {}, line.get("reach") or {}
    for name, value in line.items():
        if name == "author":
            yield from ((each, author.get(each)) for each in _OF_AUTHOR)
        elif name == "reach":
            yield "reposts", reach.get("reposts")
        else:
            yield name, value


def as_table(exported: Exported) -> Response:
    """The same for a spreadsheet; no cell is run as a formula."""
    rows = [dict(_cells(line)) for line in exported.lines]
    names = list(rows[0]) if rows else []
    return as_csv([names, *([guarded(row[name]) for name in names] for row in rows)], name_of(exported, "csv"))
