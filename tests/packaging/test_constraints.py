"""Every package that any group needs is pinned at the version that is installed, and no other package is."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.conftest import ROOT

GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
PIN = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)")


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    matches = [PIN.fullmatch(line) for line in lines]
    assert None not in matches, f"not a plain pin: {[line for line in lines if not PIN.fullmatch(line)]}"
    return {match[1]: match[2] for match in matches if match}


def requirements_of(group: str) -> Iterator[str]:
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from requirements_of(entry["include-group"])


def needed(requirements: Iterator[str]) -> dict[str, str]:
    """All distributions that the requirements lead to, with the installed versions."""
    found: dict[tuple[str, frozenset[str]], str] = {}
    left = [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        installed = distribution(requirement.name)
        found[key] = installed.version.partition("+")[0]
        for text in installed.requires or []:
            further = Requirement(text)
            extras = requirement.extras | {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(further)
    return {name: version for (name, _), version in found.items()}


def test_every_package_that_a_group_needs_is_pinned_as_installed_and_no_other() -> None:
    wanted = needed(requirements_of("dev"))
    assert pins() == wanted, "remake it as CONTRIBUTING.md says under Dependencies"


def test_the_pins_stand_in_order() -> None:
    assert list(pins()) == sorted(pins())


def test_a_group_names_packages_without_versions_of_its_own() -> None:
    everything = {entry for entries in GROUPS.values() for entry in entries if isinstance(entry, str)}
    assert not [entry for entry in everything if not re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?", entry)]


@pytest.mark.parametrize("group", ["serve", "evaluate", "train", "dev"])
def test_a_group_is_written_in_order(group: str) -> None:
    names = [entry for entry in GROUPS[group] if isinstance(entry, str)]
    assert names == sorted(names)


def test_no_package_for_graphics_cards_came_along() -> None:
    assert not [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))]


def test_a_package_that_is_not_installed_is_told() -> None:
    with pytest.raises(PackageNotFoundError):
        needed(iter(["no-such-package-as-this"]))
