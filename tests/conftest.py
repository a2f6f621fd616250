"""What holds for every test: no network beyond this machine, the same examples in every CI run, one browser."""

import os
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.browsers import launched_browser

if TYPE_CHECKING:  # the environment that proves serving light has no playwright
    from playwright.sync_api import Browser

settings.register_profile("signalbox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("signalbox")

os.environ.setdefault("SIGNALBOX_JOURNAL", "off")  # a test that wants a journal names a file of its own


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
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium for the tests of one module."""
    with launched_browser() as launched:
        yield launched
