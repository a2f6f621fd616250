"""An environment for each peer and for the load tool, under `.cache/bench/`, made once for each set of pins.

The intent benchmark makes its own with other `requirements`. Nothing of ours is installed there, and nothing of theirs
here. What each holds stands in `requirements/NAME.txt`, every version pinned; no package for graphics cards may come
along.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from data.progress import Say

REQUIREMENTS = Path(__file__).parent / "requirements"
CACHE = Path(".cache/bench")
INSTALL_S = 1_800
"""The largest (infinity, with torch) is 1.5 GB; a slow line takes minutes for it."""
_FOR_GRAPHICS_CARDS = re.compile(r"nvidia-(?!ml-py$)|triton$|cuda-")
"""What a CUDA build of torch brings; `nvidia-ml-py`, which BentoML asks for, is 50 KB of Python."""


class InstallError(RuntimeError):
    """An environment that could not be made; says why."""


def environment_of(name: str, requirements: Path = REQUIREMENTS) -> Path:
    """Where the environment of the peer `name` is or will be; another set of pins is another directory."""
    pins = (requirements / f"{name}.txt").read_bytes()
    return CACHE / f"{name}-{hashlib.sha256(sys.version.encode() + pins).hexdigest()[:12]}"


def program_of(name: str, program: str, requirements: Path = REQUIREMENTS) -> Path:
    """The path of a program in that environment, absolute, since servers run in directories of their own."""
    return (environment_of(name, requirements) / "bin" / program).absolute()


def _pip(directory: Path, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"pip did not end within {INSTALL_S} s") from None
    if done.returncode:
        raise InstallError(f"pip ended with {done.returncode}: {done.stderr.strip()[-400:] or 'it said nothing'}")


def is_for_graphics_cards(package: str) -> bool:
    """True for a package that only a CUDA build needs, by its name."""
    return bool(_FOR_GRAPHICS_CARDS.match(package.replace("_", "-").lower()))


def _check_no_graphics(directory: Path) -> None:
    names = (path.name.partition("-")[0] for path in directory.glob("lib/*/site-packages/*.dist-info"))
    found = sorted(name for name in names if is_for_graphics_cards(name))
    if found:
        raise InstallError(f"packages for graphics cards came along: {', '.join(found[:3])}")


def _remove_old(directory: Path, name: str) -> None:
    for old in directory.parent.glob(f"{name}-????????????"):
        shutil.rmtree(old, ignore_errors=True)


def install(name: str, say: Say, requirements: Path = REQUIREMENTS) -> Path:
    """The environment of the peer `name`, made if it is not there yet; an environment of older pins is removed.

    Raises:
        InstallError: when it cannot be made.
    """
    directory = environment_of(name, requirements)
    done = directory / "installed"
    if done.exists():
        return directory
    say(f"installing {name} into {directory}, once ...")
    _remove_old(directory, name)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise InstallError(f"no environment was made: {(made.stdout + made.stderr).strip()[-400:]}")
    _pip(directory, "install", "--no-deps", "--requirement", str(requirements / f"{name}.txt"))
    _check_no_graphics(directory)
    done.touch()
    return directory


def installed_version(name: str, package: str) -> str:
    """The version of `package` in the environment of `name`, empty where it is not installed."""
    stem = package.replace("-", "_").lower()
    for path in environment_of(name).glob("lib/*/site-packages/*.dist-info"):
        found, _, version = path.name.removesuffix(".dist-info").partition("-")
        if found.lower() == stem:
            return version
    return ""
