"""The pins: which version of which package any group needs, as it is installed. `make pins` writes constraints.txt."""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINS = ROOT / "constraints.txt"
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
HEAD = """# The one version of every package that any group needs, for Python 3.11 and later.
# Written by `make pins` from what is installed; CONTRIBUTING.md, "Dependencies", tells when.
"""


def requirements_of(group: str) -> Iterator[str]:
    """The requirements of a group and of all groups that it includes."""
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from requirements_of(entry["include-group"])


def installed_for(requirements: Iterable[str]) -> dict[str, str]:
    """All distributions that the requirements lead to, as installed; the mark of a build (`+cpu`) is cut."""
    found: dict[tuple[str, frozenset[str]], str] = {}
    left = [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        installed = distribution(requirement.name)
        found[key] = installed.version.partition("+")[0]
        for further in map(Requirement, installed.requires or []):
            extras = requirement.extras | {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(further)
    return {name: version for (name, _), version in sorted(found.items())}


def text_of(pins: dict[str, str]) -> str:
    """The content of constraints.txt."""
    return HEAD + "".join(f"{name}=={version}\n" for name, version in pins.items())


if __name__ == "__main__":
    pins = installed_for(requirements_of("dev"))
    PINS.write_text(text_of(pins), encoding="utf-8")
    sys.stdout.write(f'{{"file": "{PINS.name}", "packages": {len(pins)}}}\n')
