"""A bundle put in the place of the champion, so that whoever is killed at any moment leaves a complete champion.

The steps: the new bundle is copied beside the champion and verified; what is about to happen is written down (the
*intent*); both directories are exchanged in one step (`renameat2`; where a system has no such call, by three renames);
the ledger's line is added; the earlier bundle is kept under the hash of its manifest; the intent is taken away.
`recover` reads the intent that a kill left and goes on, or takes back what had not happened. Every command calls it.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.output import holding_file
from models.bundle import MANIFEST_FILE, load_bundle, sha256_of
from training.errors import PromotionError
from training.promotion.ledger import LEDGER_FILE, Line, append, text_of

_INTENT = "intent.json"
Exchange = Callable[[Path, Path], bool]
"""Exchanges two directories in one step; false where the system cannot."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Of Linux: fcntl.h and linux/fs.h."""
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def exchange_at_once(one: Path, other: Path) -> bool:
    """Whether the two directories stand in each other's place now, by one call of the kernel (Linux 3.15).

    Raises:
        OSError: when the kernel knows the call and refuses it.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one))


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of one champion stands: all beside it, so that renames stay on one file system."""

    champion: Path

    def _beside(self, name: str) -> Path:
        return self.champion.parent / f".{self.champion.name}-{name}"

    @property
    def ledger(self) -> Path:
        """The ledger of all champions of that directory."""
        return self.champion.parent / LEDGER_FILE

    @property
    def staged(self) -> Path:
        """The new bundle before the exchange, the earlier one after it."""
        return self._beside("staged")

    @property
    def aside(self) -> Path:
        """Where the champion stands for a moment when there is no exchange at once."""
        return self._beside("aside")

    @property
    def intent(self) -> Path:
        """What is about to happen: the ledger's line."""
        return self._beside(_INTENT)

    @property
    def lock(self) -> Path:
        """Held by whoever changes a champion of this ledger."""
        return self.ledger.with_name(f".{LEDGER_FILE}.lock")

    def earlier(self, manifest_sha256: str) -> Path:
        """Where an earlier bundle is kept."""
        return self._beside("earlier") / manifest_sha256[:16]


def manifest_of(directory: Path) -> str | None:
    """The hash of the manifest of the bundle in `directory`, `None` where there is none."""
    path = directory / MANIFEST_FILE
    return sha256_of(path) if path.is_file() else None


@contextmanager
def holding(places: Places) -> Iterator[None]:
    """The right to change what stands at `places`; a second process is refused, a killed one lets go.

    Raises:
        PromotionError: when another process holds it, or there is no such directory.
    """
    if not places.champion.parent.is_dir():
        raise PromotionError(
            f"There is no champion at {places.champion}: {places.champion.parent} is no directory. Wanted the "
            "directory of a bundle in service. Give its path with --champion."
        )
    refused = PromotionError(
        f"The champion {places.champion} is being changed by another process. Wanted: one at a time. Try again when it "
        "has ended."
    )
    with holding_file(places.lock, refused):
        yield


def _sync(directory: Path) -> None:
    """What was renamed in `directory` is on the disk when this returns."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_intent(places: Places, text: str) -> None:
    new = places.intent.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(places.intent)
    _sync(places.champion.parent)


def _swap(places: Places, exchange: Exchange) -> None:
    if not exchange(places.staged, places.champion):
        places.champion.rename(places.aside)
        places.staged.rename(places.champion)
        places.aside.rename(places.staged)
    _sync(places.champion.parent)


def _finish(places: Places, text: str, earlier_sha256: str) -> None:
    """Everything after the exchange; done again from any point, it comes to the same."""
    append(places.ledger, text)
    kept = places.earlier(earlier_sha256)
    if places.staged.exists():
        kept.parent.mkdir(exist_ok=True)
        if kept.exists():
            shutil.rmtree(places.staged)
        else:
            places.staged.rename(kept)
    places.intent.unlink(missing_ok=True)


def _unswap(places: Places) -> None:
    """Three renames that were cut off, taken back or completed."""
    if places.aside.exists():
        places.aside.rename(places.staged if places.champion.exists() else places.champion)


def recover(places: Places) -> str | None:
    """Brings what a killed command left to its end or to its beginning; says which, `None` where nothing was left.

    Raises:
        PromotionError: when champion and intent are not what any command leaves, or another champion has an intent.
    """
    others = sorted({*places.champion.parent.glob(f".*-{_INTENT}")} - {places.intent})
    if others:
        name = others[0].name.removeprefix(".").removesuffix(f"-{_INTENT}")
        raise PromotionError(
            f"A change of the champion {name}, in the same ledger, was interrupted: {others[0]}. Wanted it ended "
            f"first: python -m training ledger --champion {others[0].with_name(name)}."
        )
    _unswap(places)
    places.intent.with_suffix(".new").unlink(missing_ok=True)
    if not places.intent.exists():
        shutil.rmtree(places.staged, ignore_errors=True)
        return None
    text = places.intent.read_text(encoding="utf-8")
    line = Line.model_validate_json(text)
    stands = manifest_of(places.champion)
    if stands == line.to_manifest_sha256:
        _finish(places, text, line.from_manifest_sha256)
        return f"An interrupted {line.action} to {line.to_version} was completed"
    if stands == line.from_manifest_sha256:
        places.intent.unlink()
        shutil.rmtree(places.staged, ignore_errors=True)
        return f"An interrupted {line.action} to {line.to_version} was taken back: it had not happened yet"
    raise PromotionError(
        f"The champion {places.champion} is neither the bundle before nor after the {line.action} in "
        f"{places.intent}: its manifest has {stands}. Wanted {line.from_manifest_sha256} or "
        f"{line.to_manifest_sha256}. Copy one of both to "
        f"{places.champion}; earlier bundles are kept in {places.earlier(line.from_manifest_sha256).parent}."
    )


def install(places: Places, bundle: Path, line: Line, exchange: Exchange = exchange_at_once) -> None:
    """Puts a copy of `bundle` in the place of the champion and adds `line` to the ledger; keeps the earlier one.

    Raises:
        BundleError: when the copy does not verify.
        OSError: when something cannot be written. In both cases the champion is as it was.
    """
    shutil.rmtree(places.staged, ignore_errors=True)
    shutil.copytree(bundle, places.staged)
    load_bundle(places.staged)
    for path in places.staged.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync(places.staged)
    text = text_of(line)
    _write_intent(places, text)
    _swap(places, exchange)
    _finish(places, text, line.from_manifest_sha256)
