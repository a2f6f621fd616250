"""The formats that posts come in, each as rows of raw values with their place. Knows nothing of posts.

JSON Lines and CSV need no library; Parquet needs the group `evaluate`, the `datasets` library the group `train`:
both are imported when such a source is met.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.dependencies import needs_group
from data.rejects import Problem, SourceError, shown

HUB_PREFIX = "hf:"
_DATASET_FILES = ("dataset_info.json", "dataset_dict.json", "state.json")
"""What `save_to_disk` of the `datasets` library leaves in a directory."""


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one row, nested where a column name has a dot; with `problem` when they cannot be read."""

    file: str
    line: int
    values: Mapping[str, object]
    raw: object = None
    """The row as it stood there, where it could not be read as values."""
    problem: Problem | None = None


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    """`{"author.handle": "@tobes"}` as `{"author": {"handle": "@tobes"}}`."""
    nested = {name: value for name, value in values.items() if "." not in name}
    for name, value in values.items():
        head, dot, rest = name.partition(".")
        if not dot:
            continue
        inner = nested.get(head)
        if inner is None:
            inner = nested[head] = {}
        if isinstance(inner, dict):
            inner[rest] = value
        else:
            nested[name] = value
    return nested


def _check_columns(file: str, columns: list[str]) -> None:
    if twice := [name for name, n in Counter(columns).items() if n > 1]:
        raise SourceError(
            f"{file} could not be read: the column {twice[0]!r} stands more than once. "
            "Wanted each column once. Rename or remove one of them."
        )
    if "text" not in columns:
        raise SourceError(
            f"{file} could not be read: it has no column 'text', but {', '.join(map(repr, columns))}. "
            "Wanted the column names of docs/data.md in the first row, `text` at least. Rename the columns."
        )


def _not_utf_8(file: str, content: bytes, error: UnicodeDecodeError) -> SourceError:
    line = content.count(b"\n", 0, error.start) + 1
    return SourceError(
        f"{file} could not be read: line {line} holds the byte 0x{content[error.start]:02x}, which is not UTF-8. "
        f"Wanted UTF-8 text. Convert the file, for example: iconv -f WINDOWS-1252 -t UTF-8 {file} > utf-8.csv"
    )


def _json_line(file: str, number: int, line: bytes) -> Row:
    def unreadable(wanted: str, remedy: str) -> Row:
        raw = line.decode("utf-8", "backslashreplace")
        return Row(file, number, {}, raw=raw, problem=Problem("(line)", shown(raw), wanted, remedy, "unreadable"))

    try:
        values = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        wanted = f"UTF-8 text, but byte {error.start + 1} of the line is 0x{line[error.start]:02x}"
        return unreadable(wanted, "convert the file to UTF-8, for example with iconv")
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else "unreadable"
        return unreadable(f"one JSON object on the line ({reason})", "correct the JSON")
    if not isinstance(values, dict):
        return unreadable("one JSON object on the line", "write the post as an object with the fields of docs/data.md")
    return Row(file, number, _nested(values))


def json_lines_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines file; empty lines hold nothing and are passed over."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _json_line(str(path), number, line.rstrip())


def _csv_row(file: str, line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) == len(columns):
        return Row(file, line, _nested({name: cell or None for name, cell in zip(columns, cells, strict=True)}))
    problem = Problem(
        field="(line)",
        value=f"{len(cells)} cells",
        wanted=f"{len(columns)} cells, as the first row has",
        remedy="put cells with a comma or a line break in double quotes",
        code="unreadable",
    )
    return Row(file, line, {}, raw=cells, problem=problem)


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file (RFC 4180, names in the first row); `line` is where the row begins.

    Raises:
        SourceError: when it is not UTF-8, not CSV, or has no column `text`.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf_8(str(path), content, error) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if cells and columns is None:
                columns = [name.strip() for name in cells]
                _check_columns(str(path), columns)
            elif cells and columns is not None:
                yield _csv_row(str(path), line, columns, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(
            f"{path} could not be read: the row that begins on line {line} is not CSV ({error}). "
            'Wanted RFC 4180: cells between commas, quotes doubled inside quotes. Close the quote (") or double it.'
        ) from None


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, counted from 1; authors and reach as structs or as dotted columns.

    Raises:
        SourceError: when it is not Parquet or has no column `text`.
        MissingGroupError: when pyarrow is not installed.
    """
    with needs_group("evaluate", "Reading Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _check_columns(str(path), table.schema_arrow.names)
            rows = (row for batch in table.iter_batches() for row in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield Row(str(path), number, _nested(values))
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(
            f"{path} could not be read: it is not whole Parquet ({reason}). Wanted a Parquet file. Write it again."
        ) from None


def is_dataset_directory(path: Path) -> bool:
    """Whether the `datasets` library saved a dataset (or several splits) in this directory."""
    return any((path / name).is_file() for name in _DATASET_FILES)


def _load_dataset(name: str, config: str | None, split: str | None) -> dict[str, Any]:
    """The splits of a dataset by name, from a directory where there is one, else from the hub or its cache."""
    with needs_group("train", "Reading a `datasets` source"):
        import datasets
    if Path(name).is_dir() and is_dataset_directory(Path(name)):
        loaded = datasets.load_from_disk(name)
        splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or "train"): loaded}
        return {split: splits[split]} if split else splits
    loaded = datasets.load_dataset(name, config, split=split)
    return {split: loaded} if split else dict(loaded)


def _label_names(features: Mapping[str, Any]) -> dict[str, Callable[[int], str]]:
    """How to name the classes of columns that hold numbers for names (`ClassLabel`)."""
    return {name: feature.int2str for name, feature in features.items() if hasattr(feature, "int2str")}


def dataset_rows(source: str) -> Iterator[Row]:
    """The rows of `hf:NAME[:CONFIG][:SPLIT]`, counted from 1 in each split; all splits where none is named.

    NAME is a dataset of the hub or a directory that `save_to_disk` wrote; `hf:NAME::SPLIT` names a split alone.

    Raises:
        SourceError: when there is no such dataset, or it has no column `text`.
        MissingGroupError: when the `datasets` library is not installed.
    """
    name, config, split, *rest = [*source.removeprefix(HUB_PREFIX).split(":"), "", "", ""][:4]
    if not name or any(rest):
        raise SourceError(
            f"The source {source!r} could not be read: its name has no such form. "
            "Wanted hf:NAME, hf:NAME:CONFIG, hf:NAME:CONFIG:SPLIT or hf:NAME::SPLIT. Correct it."
        )
    try:
        splits = _load_dataset(name, config or None, split or None)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise SourceError(
            f"The source {source!r} could not be read: {type(error).__name__}: {reason}. "
            "Wanted a dataset of the hub that can be reached, or a directory written by `save_to_disk`. "
            "Check the name, the configuration, the split and the connection."
        ) from error
    for split_name, dataset in splits.items():
        file = f"{HUB_PREFIX}{name}:{config}:{split_name}"
        _check_columns(file, dataset.column_names)
        names = _label_names(dataset.features)
        for number, values in enumerate(dataset, start=1):
            named = {
                key: names[key](value) if key in names and value is not None else value for key, value in values.items()
            }
            yield Row(file, number, _nested(named))
