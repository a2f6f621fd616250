"""Posts from files: one face for JSON Lines, CSV, Parquet and the `datasets` library.

Every row becomes a post or a reject; nothing is dropped silently. The same content gives the same posts in every
format: an empty string is an unknown value, and an author or a reach of which nothing is known is none at all.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from data.formats import (
    HUB_PREFIX,
    Row,
    csv_rows,
    dataset_rows,
    is_dataset_directory,
    json_lines_rows,
    parquet_rows,
)
from data.output import whole_file
from data.post import Author, LabelledPost, Post, Reach
from data.progress import Watch, unwatched
from data.rejects import Reject, RejectedRowsError, SourceError, problems_of
from data.taxonomy import BUILT_IN, Taxonomy

_ROWS_BY_SUFFIX: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": json_lines_rows,
    ".ndjson": json_lines_rows,
    ".csv": csv_rows,
    ".parquet": parquet_rows,
}
_INNER_FIELDS = {"author": frozenset(Author.model_fields), "reach": frozenset(Reach.model_fields)}

AnyPost = TypeVar("AnyPost", bound=Post)
Source = str | Path


@dataclass(frozen=True, slots=True)
class Reading(Generic[AnyPost]):
    """What was read: the posts in the order of the files, the rows that are none, and what was not looked at."""

    posts: tuple[AnyPost, ...]
    rejects: tuple[Reject, ...]
    ignored_fields: tuple[str, ...]
    """Fields that are not of a post, each once, sorted (`author.location` for an inner one)."""
    files: tuple[str, ...]


def _is_unknown(value: object) -> bool:
    return value is None or value in ("", {}) or (isinstance(value, float) and math.isnan(value))


def _known(values: Mapping[str, object], fields: Iterable[str]) -> dict[str, object]:
    return {name: values[name] for name in fields if name in values and not _is_unknown(values[name])}


def _post_values(values: Mapping[str, object], model: type[Post]) -> tuple[dict[str, object], set[str]]:
    """The values that a post of this kind has, without the unknown ones; and the names of foreign fields."""
    outer = dict(values)
    foreign = set(values) - set(model.model_fields)
    for name, fields in _INNER_FIELDS.items():
        if isinstance(inner := values.get(name), dict):
            foreign |= {f"{name}.{key}" for key in inner if key not in fields}
            outer[name] = _known(inner, fields)
    return _known(outer, model.model_fields), foreign


def _files(source: Source) -> list[Source]:
    """The files of a source: those of a directory with a known suffix in order of name, else itself."""
    if isinstance(source, str) and source.startswith(HUB_PREFIX):
        return [source]
    path = Path(source)
    suffixes = ", ".join(_ROWS_BY_SUFFIX)
    if not path.exists():
        raise SourceError(
            f"The source {source} could not be read: there is no such file or directory. Wanted a file ({suffixes}), a "
            f"directory of such files, or {HUB_PREFIX}NAME. Check the path."
        )
    if not path.is_dir():
        return [path]
    if is_dataset_directory(path):
        return [f"{HUB_PREFIX}{path}"]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _ROWS_BY_SUFFIX)
    if not found:
        raise SourceError(
            f"The directory {source} could not be read: it holds no data file. Wanted files ending in {suffixes}. "
            "Check the path, or rename the files."
        )
    return list(found)


def _rows(file: Source) -> Iterator[Row]:
    if isinstance(file, str):
        return dataset_rows(file)
    try:
        return _ROWS_BY_SUFFIX[file.suffix.lower()](file)
    except KeyError:
        raise SourceError(
            f"The file {file} could not be read: its suffix {file.suffix!r} names no known format. "
            f"Wanted one of {', '.join(_ROWS_BY_SUFFIX)}. Rename or convert it."
        ) from None


def _not_empty(files: Iterable[Source]) -> Iterator[Row]:
    """The rows of all files, one after the other; every file must have one."""
    for file in files:
        empty = True
        try:
            for row in _rows(file):
                empty = False
                yield row
        except OSError as error:
            raise SourceError(
                f"The file {file} could not be read: {error.strerror}. Wanted a readable file. Check its permissions."
            ) from error
        if empty:
            raise SourceError(
                f"The source {file} is empty: it holds no row. Wanted at least one post. "
                "Check that it was written to its end, or leave it out."
            )


def _read(
    model: type[AnyPost],
    sources: Source | Sequence[Source],
    keep_going: bool,
    watch: Watch,
    taxonomy: Taxonomy | None = None,
) -> Reading[AnyPost]:
    given = [sources] if isinstance(sources, str | Path) else sources
    files = [file for source in given for file in _files(source)]
    posts: list[AnyPost] = []
    rejects: list[Reject] = []
    ignored: set[str] = set()
    for row in watch(_not_empty(files), "reading"):
        if row.problem:
            rejects.append(Reject(row.file, row.line, (row.problem,), row.raw))
            continue
        values, foreign = _post_values(row.values, model)
        ignored |= foreign
        try:
            posts.append(model.model_validate(values, context=taxonomy))
        except ValidationError as error:
            rejects.append(Reject(row.file, row.line, problems_of(error), row.values))
    if rejects and not keep_going:
        raise RejectedRowsError(rejects, rows=len(posts) + len(rejects))
    return Reading(tuple(posts), tuple(rejects), tuple(sorted(ignored)), tuple(map(str, files)))


def read_labelled(
    sources: Source | Sequence[Source],
    *,
    taxonomy: Taxonomy = BUILT_IN,
    keep_going: bool = False,
    watch: Watch = unwatched,
) -> Reading[LabelledPost]:
    """The labelled posts of one or more files, directories or `hf:NAME[:CONFIG][:SPLIT]` sources.

    Raises:
        RejectedRowsError: when rows are no posts labelled by the `taxonomy`, listing all of them; with `keep_going`
            they are in `Reading.rejects` instead (`data.rejects.write_rejects` keeps them).
        SourceError: when a source is missing, empty, broken or of no known kind.
        MissingGroupError: when the library of the format is not installed.
    """
    return _read(LabelledPost, sources, keep_going, watch, taxonomy)


def read_posts(
    sources: Source | Sequence[Source], *, keep_going: bool = False, watch: Watch = unwatched
) -> Reading[Post]:
    """The posts of the sources without labels; labels that stand there are named in `Reading.ignored_fields`.

    Raises:
        RejectedRowsError, SourceError, MissingGroupError: as `read_labelled`.
    """
    return _read(Post, sources, keep_going, watch)


def read_beside(source: Source, field: str) -> list[object]:
    """What stands in a field that is none of a post, of every row of a source, in order; `None` where nothing does."""
    return [row.values.get(field) for row in _not_empty(_files(source))]


def labelled_line(post: LabelledPost, beside: Mapping[str, object] | None = None) -> str:
    """The post as one line of a labelled file, with the guide's fields in its order, then what stands beside it."""
    exclude = {"posted_at"} if post.posted_at is None else set()
    return json.dumps(post.model_dump(mode="json", exclude=exclude) | dict(beside or {}), ensure_ascii=False)


def write_labelled(path: Path, posts: Iterable[LabelledPost]) -> None:
    """Nothing; the file at `path` holds the posts afterwards as JSON Lines, with the guide's fields in its order.

    What stood there before stays until the new file is whole.
    """
    with whole_file(path) as file:
        file.writelines(f"{labelled_line(post)}\n" for post in posts)


def read_taxonomy(path: Path) -> Taxonomy:
    """The taxonomy in a TOML file, or in a JSON file such as a bundle's `taxonomy.json`.

    Raises:
        SourceError: when the file is missing, is not TOML (JSON), names an unknown field, or a value is out of range.
    """
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        text = path.read_text(encoding="utf-8")
        values: object = json.loads(text) if kind == "JSON" else tomllib.loads(text)
        return Taxonomy.model_validate(values)
    except OSError as error:
        got = error.strerror or "nothing"
    except ValidationError as error:
        problems = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors(include_url=False)]
        got = "; ".join(f"{place}: {wrong}" if place else wrong for place, wrong in problems)
    except ValueError as error:  # both libraries' errors, and text that is not UTF-8
        got = str(error)
    raise SourceError(
        f"The taxonomy {path} cannot be used: {got}. Wanted {kind} with a version and a table [intents] of names and "
        "what each is about. docs/data.md shows one."
    )
