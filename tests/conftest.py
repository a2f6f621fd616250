"""What holds for every test: no network beyond this machine, the same examples in every CI run, one browser."""

import os
import shutil
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # the environment that proves serving light has no playwright
    from playwright.sync_api import Browser

settings.register_profile("signalbox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("signalbox")


def _is_loopback(host: object) -> bool:
    try:
        return host == "localhost" or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(address[0]):
        raise RuntimeError(f"A test tried to reach {address[0]}: tests use loopback alone. Give it a fake instead.")


sys.addaudithook(_refuse_network)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that asks for a browser, so that `-m "not browser"` leaves them out."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The Chromium of this machine, found where `.ci/chromium` looks and installs."""
    for name in (os.environ.get("CHROMIUM", "chromium"), "chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    store = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    for found_there in sorted(store.glob("chromium-*/chrome-*/*")):
        if found_there.name in ("chrome", "Chromium.app"):
            return found_there
    pytest.fail("No Chromium was found; wanted the command `chromium` or CHROMIUM=/path. Run `make chromium`.")


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator["Browser"]:
    """A headless browser for the tests of one module; it talks to nobody but the pages it is given."""
    from playwright.sync_api import sync_playwright

    quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=[*quiet, "--disable-sync", "--no-first-run"]
        )
        yield launched
        launched.close()
