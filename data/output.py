"""Files that are written whole or not at all: what stood there before stays until the new one is complete.

And files that one process holds at a time.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(path: Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """A text file that takes its place at `path` when the block ends; an error in it leaves `path` as it was.

    Raises:
        OSError: when the directory cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding=encoding, newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == part:  # whoever reads of it knows `path` alone
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def holding_file(path: Path, refused: Exception) -> Iterator[None]:
    """The lock of the file at `path`, made where it is not there; a second process is `refused`, a killed one lets go.

    Raises:
        Exception: `refused`, when another process holds it.
        OSError: when the directory cannot be written.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refused from None
        yield
