"""What the report can be of: the bundles that may be loaded, and the labelled files of one directory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.post import LabelledPost
from data.rejects import SourceError
from data.sources import read_labelled
from data.splits import PARTS, load_splits
from data.steps import Steps
from data.taxonomy import Taxonomy
from models.bundle import MANIFEST_FILE, MODEL_FILE, BundleError, load_bundle
from models.predictor import Predictor
from serving.errors import NotReadyError
from serving.journal.database import Database
from serving.service import Service
from serving.settings import Settings, variable
from serving.workbench.confusion.spans import SPANS, ReadPosts, read_span_in_steps

SPLITS_FILE = "splits.json"
IN_SERVICE = "in service"
"""Stands for the champion, wherever its directory is."""
_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
Mark = tuple[int | str, ...]
"""What changes when that does of which it is the mark."""


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Labelled posts that can be chosen: a file, a part of a directory with splits, or a span of the journal."""

    name: str
    path: Path | None
    """`None` for a span of the journal."""
    part: str | None

    @property
    def mark(self) -> Mark:
        """What changes when the files do; a span of the journal is read when it is asked for."""
        if self.path is None:
            return ()
        files = [self.path] if self.path.is_file() else sorted(self.path.iterdir())
        return _mark_of(file for file in files if file.suffix in (*_SUFFIXES, ".json"))


def _mark_of(files: Iterable[Path]) -> Mark:
    """When each file was written, and its size."""
    seen = [file.stat() for file in files]
    return tuple(figure for each in seen for figure in (each.st_mtime_ns, each.st_size))


def _files(directory: Path) -> list[Path]:
    """The labelled files of a directory."""
    return sorted(file for file in directory.iterdir() if file.suffix in _SUFFIXES)


def labelled_sets(directory: Path) -> tuple[LabelledSet, ...]:
    """The labelled posts in a directory: its parts where it has splits, the part that proves first, then its files."""
    if not directory.is_dir():
        return ()
    parts = reversed(PARTS) if (directory / SPLITS_FILE).is_file() else ()
    return (
        *(LabelledSet(f"{directory.name}: {part}", directory, part) for part in parts),
        *(LabelledSet(file.name, file, None) for file in _files(directory)),
    )


def read_in_steps(path: Path, part: str | None, taxonomy: Taxonomy) -> Steps[tuple[LabelledPost, ...]]:
    """The posts of a file, or of a part of a directory, labelled by the taxonomy; a file a step.

    Raises:
        SourceError: when a file cannot be read, or holds rows that are no such posts.
        SplitsError: when the splits are not those of the files.
    """
    posts: list[LabelledPost] = []
    for file in _files(path) if path.is_dir() else [path]:
        posts += read_labelled(file, taxonomy=taxonomy).posts
        yield
    known = next((name for name in PARTS if name == part), None)
    return tuple(load_splits(path / SPLITS_FILE, posts).part(known) if known else posts)


class Shelf:
    """The bundles and the labelled posts that a server can report on."""

    def __init__(self, settings: Settings, service: Service, database: Database) -> None:
        self._settings = settings
        self._service = service
        self._database = database

    @property
    def _root(self) -> Path:
        return (self._settings.bundles_root or self._settings.bundle.absolute().parent).resolve()

    def bundles(self) -> tuple[str, ...]:
        """The names by which bundles are chosen, the one in service first."""
        return (IN_SERVICE, *(directory.name for directory in self._directories()))

    def _directories(self) -> Iterator[Path]:
        if self._root.is_dir():
            for directory in sorted(self._root.iterdir()):
                if not directory.name.startswith(".") and (directory / MANIFEST_FILE).is_file():
                    yield directory

    def sets(self) -> tuple[LabelledSet, ...]:
        """The labelled posts that can be chosen."""
        return (*labelled_sets(self._settings.qa_posts), *(LabelledSet(name, None, None) for name in SPANS))

    def read_in_steps(self, chosen: LabelledSet, taxonomy: Taxonomy) -> Steps[tuple[LabelledPost, ...] | ReadPosts]:
        """The posts of a set, labelled by the taxonomy.

        Raises:
            SourceError: when a file cannot be read or holds other rows, or nothing of a span has been read by people.
            SplitsError: when the splits are not those of the files.
            StoreDownError: when the journal cannot be asked.
        """
        if chosen.path is None:
            return (yield from read_span_in_steps(self._database, chosen.name, taxonomy))
        return (yield from read_in_steps(chosen.path, chosen.part, taxonomy))

    def find_set(self, name: str) -> LabelledSet:
        """The labelled posts of that name.

        Raises:
            SourceError: when there are none.
        """
        for each in self.sets():
            if each.name == name:
                return each
        raise SourceError(
            f"There are no labelled posts {name!r} in {self._settings.qa_posts}. Wanted: one of those that can be "
            f"chosen. Choose again, or put the file there; {variable('qa_posts')} names the directory."
        )

    def mark_of(self, name: str) -> Mark:
        """What changes when the bundle of that name does: for the one in service, when another comes into service.

        Empty where there is none, or it could not be told.
        """
        try:
            if name == IN_SERVICE:
                manifest = self._service.lineup().champion.predictor.bundle.manifest
                return manifest.model_version, manifest.files[MODEL_FILE]
            directory = self._directory(name)
            return _mark_of([directory / MANIFEST_FILE]) if directory else ()
        except (NotReadyError, OSError):
            return ()

    def _directory(self, name: str) -> Path | None:
        return next((each for each in self._directories() if each.name == name), None)

    def load(self, name: str) -> Predictor:
        """The predictor of a bundle; the one in service is shared, any other is loaded anew under its own policy.

        Raises:
            BundleError: when there is no such bundle, or it cannot be trusted.
            NotReadyError: when no model is in service.
        """
        champion = self._service.lineup().champion.predictor
        if name == IN_SERVICE:
            return champion
        directory = self._directory(name)
        if directory:
            return Predictor.load(load_bundle(directory), guards=champion.guards)
        raise BundleError(
            f"There is no bundle {name!r} in {self._root}. Wanted: one of those that can be chosen. Choose again, or "
            f"copy the bundle there; {variable('bundles_root')} names the directory."
        )
