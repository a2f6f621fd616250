"""Environments made once, by the project's own commands, and kept under `.cache/` for as long as their pins hold."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, and what each thing in its site-packages weighed when it was made."""

    directory: Path
    sizes_bytes: dict[str, int]
    total_bytes: int

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def heaviest(self) -> str:
        """The ten heaviest packages, for people."""
        top = sorted(self.sizes_bytes.items(), key=lambda item: -item[1])[:10]
        return ", ".join(f"{name} {size / MEGABYTE:.1f} MB" for name, size in top)


def weigh(path: Path) -> int:
    """The bytes of a file, or of all files below a directory."""
    if path.is_dir() and not path.is_symlink():
        return sum(weigh(child) for child in path.iterdir())
    return path.lstat().st_size


def measured(directory: Path) -> Environment:
    (packages,) = directory.glob("lib/*/site-packages")
    sizes = {path.name: weigh(path) for path in packages.iterdir()}
    return Environment(directory, sizes, weigh(directory))


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a command that must work; what it said is shown where it does not."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALBOX_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made_once(name: str, made_from: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills, made anew only when one of the files it was made from has changed."""
    digest = hashlib.sha256(sys.version.encode())
    for source in made_from:
        digest.update((ROOT / source).read_bytes())
    directory = ROOT / ".cache" / f"{name}-{digest.hexdigest()[:12]}"
    with _alone(ROOT / ".cache" / f"{name}.lock"):
        done = directory.with_suffix(".done")
        if not done.exists():
            for old in directory.parent.glob(f"{name}-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            make(directory)
            done.touch()
    return directory


def _make_serving(directory: Path) -> None:
    run("make", f"VENV={directory}", f"PYTHON={sys.executable}", directory / ".serve")


@pytest.fixture(scope="session")
def serving_environment() -> Environment:
    """What `make serve` installs, by the very same rule of the Makefile."""
    return measured(made_once("serve", ("pyproject.toml", "constraints.txt", "Makefile"), _make_serving))


@pytest.fixture(scope="session")
def torch_free_environment() -> Path:
    """The Python of such an environment with the few packages that tests need beside it."""

    def make(directory: Path) -> None:
        _make_serving(directory)
        tools = ("pytest", "hypothesis", "httpx", "httpx2", "onnx")
        run(directory / "bin" / "python", "-m", "pip", "install", "--no-compile", *tools, "-c", "constraints.txt")

    made_from = ("pyproject.toml", "constraints.txt", "Makefile", "tests/packaging/conftest.py")
    return made_once("torch-free", made_from, make) / "bin" / "python"
