"""The frame as people meet it in Chromium: keys, colours, small windows, and what axe-core finds."""

from typing import TYPE_CHECKING

from tests.workbench.axe import looks, violations
from tests.workbench.conftest import OpenPage

if TYPE_CHECKING:
    from playwright.sync_api import Page


def ground(page: "Page") -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_frame_fits_and_is_accessible(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    assert page.get_by_role("heading", level=1).inner_text() == "Overview"
    for _ in looks(page):
        assert violations(page) == []
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert violations(page) == []
    page.goto(f"{address}/qa/login")
    for _ in looks(page):
        assert violations(page) == []


def test_keys_lead_through_the_pages_and_can_be_turned_off(address: str, open_page: OpenPage) -> None:
    page = open_page(address, "/qa?from=elsewhere")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url(f"{address}/qa")
    page.keyboard.press("?")
    page.get_by_label("Single keys do something").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert not page.get_by_role("dialog").is_visible()
    page.reload()
    page.keyboard.press("?")
    assert not page.get_by_role("dialog").is_visible()


def test_the_colours_follow_the_system_until_somebody_chooses(address: str, open_page: OpenPage) -> None:
    page = open_page(address, scheme="dark")
    night = ground(page)
    switch = page.get_by_role("button", name="Colours: as the system has them")
    switch.click()
    assert ground(page) != night
    page.reload()
    assert page.get_by_role("button", name="Colours: light").is_visible()
    assert ground(page) != night
    page.get_by_role("button", name="Colours: light").click()
    assert ground(page) == night


def test_the_first_tab_leads_past_the_navigation(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_signing_out_leads_to_the_sign_in(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Who reads?").wait_for()
