"""Every package that any group needs is pinned at the version that is installed, and no other package is."""

import re
from importlib.metadata import PackageNotFoundError

import pytest

from tests.packaging.pins import GROUPS, PINS, installed_for, requirements_of, text_of


def test_every_package_that_a_group_needs_is_pinned_as_installed_and_no_other() -> None:
    written = PINS.read_text(encoding="utf-8").splitlines()
    wanted = text_of(installed_for(requirements_of("dev"))).splitlines()
    assert written == wanted, "write it anew with `make pins`"


def test_a_group_names_packages_without_versions_of_its_own() -> None:
    everything = {entry for entries in GROUPS.values() for entry in entries if isinstance(entry, str)}
    assert not [entry for entry in everything if not re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?", entry)]


@pytest.mark.parametrize("group", ["client", "serve", "tracing", "evaluate", "bench", "train", "dev"])
def test_a_group_is_written_in_order(group: str) -> None:
    names = [entry for entry in GROUPS[group] if isinstance(entry, str)]
    assert names == sorted(names)


def test_no_package_for_graphics_cards_came_along() -> None:
    assert not [name for name in installed_for(["torch"]) if name.startswith(("nvidia", "cuda", "triton"))]


def test_a_package_that_a_package_needs_is_pinned_too() -> None:
    assert {"fastapi", "starlette", "anyio"} <= set(installed_for(["fastapi"]))


def test_a_package_that_is_not_installed_is_told() -> None:
    with pytest.raises(PackageNotFoundError):
        installed_for(["no-such-package-as-this"])
