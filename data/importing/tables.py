"""Other people's tables as they come: CSV of any dialect and encoding, Excel, Parquet, JSON Lines.

Owns how a file becomes named cells with their place, and what was found out about it. Knows nothing of posts.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.dependencies import needs_group
from data.formats import Row, json_lines_rows
from data.rejects import Problem, SourceError

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
EXCEL_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods")
_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SNIFFED_ROWS = 500
_USUAL = "cp1252"
"""Of several encodings that fit, what Excel writes as "CSV" in western Europe and America."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How to read a table where its own signs are not to be trusted; `None` is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file under the names of its columns; rows that cannot be read carry their problem."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    described: str
    """What was found out of the format, in words: "CSV, utf-8, cells between commas"."""


def _decoded(file: str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """The text, and in words the encoding that it was read by."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    for name in filter(None, (encoding, marked, "utf-8")):
        try:
            return content.decode(name), name.removesuffix("-sig")
        except UnicodeDecodeError as error:
            if encoding:
                raise SourceError(
                    f"{file} could not be read: byte {error.start + 1} is 0x{content[error.start]:02x}, which is not "
                    f"{encoding}. Wanted the encoding of the file. Correct table.encoding, or leave it out."
                ) from None
        except LookupError:
            raise SourceError(
                f"{file} could not be read: there is no encoding {name!r}. Wanted a name that Python knows, such as "
                "utf-8 or cp1252. Correct table.encoding, or leave it out."
            ) from None
    with needs_group("evaluate", "Finding out an encoding"):
        from charset_normalizer import from_bytes
    likely = from_bytes(content)
    if not likely:
        raise SourceError(
            f"{file} could not be read: its bytes are no text of any encoding that was tried. "
            "Wanted a text file. Write it again as UTF-8, or name its encoding in table.encoding of the mapping."
        )
    usual = next((each for each in likely if _USUAL in (each.encoding, *each.could_be_from_charset)), None)
    name = _USUAL if usual else str(likely[0].encoding)
    return content.decode(name, "replace"), f"{name} (a guess: set table.encoding where letters look wrong)"


def _reader(text: str, delimiter: str, escaped: bool, strict: bool) -> Iterator[list[str]]:
    escape = "\\" if escaped else None
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, escapechar=escape, doublequote=not escaped, strict=strict
    )


def _regularity(text: str, delimiter: str, escaped: bool) -> tuple[float, int]:
    """How alike the first rows are in their number of cells, 0 to 1, and that number; more than one cell first."""
    widths: Counter[int] = Counter()
    try:
        for cells in _reader(text, delimiter, escaped, strict=False):
            if cells:
                widths[len(cells)] += 1
            if widths.total() >= _SNIFFED_ROWS:
                break
    except csv.Error:
        return 0.0, 0
    (width, n), *_ = widths.most_common(1) or [(0, 0)]
    return (n / widths.total(), width) if width > 1 else (0.0, width)


def _dialect(text: str, delimiter: str | None) -> tuple[str, bool]:
    """The delimiter, and whether quotes inside quotes are escaped by a backslash: what gives the most regular rows."""
    ways = (False, True) if '\\"' in text else (False,)
    choices = [(each, escaped) for escaped in ways for each in ((delimiter,) if delimiter else _DELIMITERS)]
    return max(choices, key=lambda choice: _regularity(text, *choice))


def _check_header(file: str, columns: Sequence[str]) -> None:
    if twice := [name for name, n in Counter(columns).items() if n > 1]:
        raise SourceError(
            f"{file} could not be read: the column {twice[0]!r} stands more than once. "
            "Wanted each column once, named in the first row. Rename or remove one of them."
        )


def _short_or_long(cells: Sequence[str], columns: Sequence[str]) -> Problem:
    return Problem(
        field="(line)",
        value=f"{len(cells)} cells",
        wanted=f"{len(columns)} cells, as the first row has",
        remedy="put cells that hold the delimiter or a line break in double quotes",
        code="unreadable",
    )


def _csv_table(path: Path, options: TableOptions) -> Table:
    text, encoding = _decoded(str(path), path.read_bytes(), options.encoding)
    text = text.removeprefix("\ufeff")
    delimiter, escaped = _dialect(text, options.delimiter)
    reader = _reader(text, delimiter, escaped, strict=True)
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    line, lines_read = 1, 0
    try:
        for cells in reader:
            lines_read = reader.line_num  # type: ignore[attr-defined]  # typeshed has no public name for the reader
            if not columns and any(cells):
                columns = tuple(name.strip() for name in cells)
            elif len(cells) == len(columns) and cells:
                rows.append(Row(str(path), line, dict(zip(columns, cells, strict=True))))
            elif any(cells):
                rows.append(Row(str(path), line, {}, raw=cells, problem=_short_or_long(cells, columns)))
            line = lines_read + 1
    except csv.Error as error:
        raise SourceError(
            f"{path} could not be read: the row that begins on line {line} is not CSV ({error}). "
            'Wanted cells with quotes doubled inside quotes. Close the quote (") or double it.'
        ) from None
    described = f"CSV, {encoding}, cells between {_NAMES.get(delimiter, repr(delimiter))}s"
    return Table(str(path), columns, tuple(rows), described + (", quotes escaped by \\" if escaped else ""))


def _named_rows(file: str, columns: Sequence[str], rows: Sequence[Sequence[object]], first: int) -> Iterator[Row]:
    for number, cells in enumerate(rows, start=first):
        if any(cell not in ("", None) for cell in cells):
            yield Row(file, number, dict(zip(columns, cells, strict=True)))


def _excel_table(path: Path, options: TableOptions) -> Table:
    with needs_group("excel", "Reading Excel"):
        from python_calamine import CalamineError, CalamineWorkbook
    try:
        with CalamineWorkbook.from_path(path) as book:
            names = book.sheet_names
            sheet = options.sheet or names[0]
            if sheet not in names:
                raise SourceError(
                    f"{path} could not be read: it has no sheet {sheet!r}, but {', '.join(map(repr, names))}. "
                    "Wanted one of these. Correct table.sheet in the mapping."
                )
            cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (CalamineError, OSError) as error:
        raise SourceError(
            f"{path} could not be read: it is no whole Excel file ({error}). "
            "Wanted .xlsx, .xls or .ods without a password. Save it again, or save it as CSV."
        ) from None
    head = next((place for place, row in enumerate(cells) if any(cell != "" for cell in row)), len(cells))
    if head == len(cells):
        return Table(str(path), (), (), "Excel")
    columns = tuple(str(name).strip() or f"column {place}" for place, name in enumerate(cells[head], start=1))
    rows = tuple(_named_rows(str(path), columns, cells[head + 1 :], head + 2))
    others = f" (not read: {', '.join(name for name in names if name != sheet)})" if len(names) > 1 else ""
    return Table(str(path), columns, rows, f"Excel, sheet {sheet}{others}")


def _flat(values: Mapping[str, object], before: str = "") -> dict[str, object]:
    """`{"author": {"handle": "@tobes"}}` as `{"author.handle": "@tobes"}`."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return flat


def _parquet_table(path: Path, _: TableOptions) -> Table:
    with needs_group("evaluate", "Reading Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        read = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(
            f"{path} could not be read: it is not whole Parquet ({reason}). Wanted a Parquet file. Write it again."
        ) from None
    return flat_table(str(path), read.to_pylist(), "Parquet")


def _json_lines_table(path: Path, _: TableOptions) -> Table:
    rows = [row if row.problem else Row(row.file, row.line, _flat(row.values)) for row in json_lines_rows(path)]
    columns = dict.fromkeys(name for row in rows for name in row.values)
    return Table(str(path), tuple(columns), tuple(rows), "JSON Lines")


def flat_table(file: str, values: Sequence[Mapping[str, object]], described: str) -> Table:
    """The table of rows that are known already, counted from 1; inner values become dotted columns."""
    rows = tuple(Row(file, number, _flat(each)) for number, each in enumerate(values, start=1))
    return Table(file, tuple(dict.fromkeys(name for row in rows for name in row.values)), rows, described)


_READERS: Mapping[str, Callable[[Path, TableOptions], Table]] = {
    **dict.fromkeys(CSV_SUFFIXES, _csv_table),
    **dict.fromkeys(EXCEL_SUFFIXES, _excel_table),
    ".parquet": _parquet_table,
    ".jsonl": _json_lines_table,
    ".ndjson": _json_lines_table,
}


def read_table(path: Path, options: TableOptions | None = None, *, may_be_empty: bool = False) -> Table:
    """The table in a file of a known suffix.

    Raises:
        SourceError: when the file is missing, broken or of no known kind, or has no rows where it needs some.
        MissingGroupError: when the library of the format is not installed.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(
            f"The file {path} could not be read: its suffix {path.suffix!r} names no known format. "
            f"Wanted one of {', '.join(_READERS)}. Rename or convert it."
        )
    if not path.is_file():
        raise SourceError(f"The file {path} could not be read: there is no such file. Check the path.")
    table = reader(path, options or TableOptions())
    _check_header(table.file, table.columns)
    if not table.rows and not may_be_empty:
        raise SourceError(
            f"The file {path} is empty: it holds no row below the names of its columns. "
            "Wanted at least one post. Check that it was written to its end."
        )
    return table
