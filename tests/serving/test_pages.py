"""The two pages: what they may load, and, in Chromium, what a person sees on them."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from serving.auth import hash_key
from serving.settings import Settings
from tests.serving.clients import PATIENT_MS, WAIT_S, MakePredictor, running_server

if TYPE_CHECKING:  # an environment that serves has no browser to drive
    from playwright.sync_api import Browser, Page

OpenPage = Callable[..., "Page"]
SIZES = [(1280, 900), (390, 844)]


# without a browser


def test_the_page_to_try_needs_nothing_but_this_server(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_to_read_runs_no_script_of_strangers(client: TestClient) -> None:
    page = client.get("/docs")
    assert "cdn" not in page.text
    assert not re.search(r"""["'](?:https?:)?//""", page.text)
    scripts = re.search(r"script-src ([^;]*);", page.headers["content-security-policy"])
    assert scripts
    assert re.fullmatch(r"'self' 'sha256-[\w+/=]+'", scripts.group(1))


def test_the_files_of_the_page_to_read_are_served_from_here(client: TestClient) -> None:
    for path in re.findall(r'(?:src|href)="(docs/[^"]+)"', client.get("/docs").text):
        file = client.get(f"/{path}")
        assert file.status_code == 200
        assert len(file.content) > 100_000


def test_every_input_of_the_page_has_a_label() -> None:
    page = Path("serving/pages/index.html").read_text(encoding="utf-8")
    inputs = set(re.findall(r'<(?:input|select|textarea) id="(\w+)"', page))
    assert len(inputs) == 10
    labelled = set(re.findall(r'<label for="(\w+)"', page)) | set(
        re.findall(r'<label class="inline[^>]*><input id="(\w+)"', page)
    )
    assert labelled == inputs


# in Chromium


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[OpenPage]:
    """Opens a page of a server; afterwards nothing may have been asked of anybody else, and no error have been said."""
    asked: list[str] = []
    errors: list[str] = []
    opened: list[tuple[Page, str]] = []

    def open_at(address: str, path: str = "/", size: tuple[int, int] = SIZES[0], scheme: str = "light") -> "Page":
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.set_default_timeout(WAIT_S * 1_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
        page.goto(address + path)
        opened.append((page, address))
        return page

    yield open_at
    for page, address in opened:
        page.close()
        assert all(url.startswith((address, "data:")) for url in asked), asked
    assert not errors


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "light"), (SIZES[1], "dark")], ids=["wide", "narrow"])
def test_a_post_is_typed_and_its_decision_seen(
    open_page: OpenPage, serving_address: str, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(serving_address, size=size, scheme=scheme)
    page.get_by_label("Text", exact=True).fill("where do I track my parcel?")
    page.get_by_label("Platform").select_option("Reddit")
    page.get_by_label("Handle").fill("@tobes")
    page.get_by_label("Followers").fill("61000")
    page.get_by_label("Verified").select_option("no")
    page.get_by_label("Bio").fill("leeds | snow")
    page.get_by_label("Reposts").fill("3")
    page.get_by_label("In reply to").fill("Hello from the brand")
    page.get_by_role("button", name="Judge this post").click()

    page.get_by_text("Give it to specialists").wait_for()
    assert "queue influencer" in page.locator("#queue").inner_text()
    assert "looked simple, not answered alone" in page.locator("#queue").inner_text()
    assert "acknowledge by" in page.locator("#queue").inner_text()
    assert page.locator("#reasons").inner_text() == "The author has many followers. (followers 61000 >= 50000)"
    assert page.locator("#routes dt").all_inner_texts() == ["simple", "complex", "sensitive", "influencer"]
    assert page.locator("#routes dd.number").all_inner_texts()[0] == "99.9 %"
    assert page.locator("#intents dt").first.inner_text() == "order status"
    assert re.fullmatch(r"answered in \d+ ms", page.locator("#latency").inner_text())
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]

    page.get_by_text("The answer as JSON").click()
    assert json.loads(page.locator("#raw").inner_text())["decision"]["action"] == "specialist"
    page.get_by_text("The request as JSON").click()
    sent = json.loads(page.locator("#sent").inner_text())
    assert sent.pop("posted_at")
    assert sent == {
        "text": "where do I track my parcel?",
        "platform": "reddit",
        "author": {"handle": "@tobes", "followers": 61000, "verified": False, "bio": "leeds | snow"},
        "reach": {"reposts": 3},
        "in_reply_to": "Hello from the brand",
    }


def test_the_examples_show_the_ways_a_post_can_go(open_page: OpenPage, serving_address: str) -> None:
    page = open_page(serving_address)
    assert "policy 7" in page.get_by_text("model 2026.11.22+fake00").inner_text()
    for name, action in (
        ("Simple", "Answer it automatically"),
        ("Complex", "Give it to an agent"),
        ("Influencer", "Give it to specialists"),
    ):
        page.get_by_role("button", name=name, exact=True).click()
        page.locator("#action", has_text=action).wait_for()


def test_the_keyboard_alone_is_enough(open_page: OpenPage, serving_address: str) -> None:
    page = open_page(serving_address)
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.type("lol")
    page.keyboard.press("Control+Enter")
    page.locator("#action", has_text="No reply needed").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "platform"


def test_a_post_that_is_refused_is_explained_and_given_to_an_agent(open_page: OpenPage, serving_address: str) -> None:
    page = open_page(serving_address)
    page.get_by_label("Text", exact=True).fill("parcel")
    page.evaluate("document.getElementById('text').removeAttribute('required')")
    page.get_by_label("Text", exact=True).fill("")
    page.get_by_role("button", name="Judge this post").click()
    page.get_by_text("Not judged: give it to an agent (422)").wait_for()
    assert "text: got a string of 0 characters" in page.locator("#reasons").inner_text()
    assert not page.locator("#scores").is_visible()


def test_a_server_with_keys_can_be_tried_with_one(
    open_page: OpenPage, make_predictor: MakePredictor, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    entry = {"name": "people", "sha256": hash_key("key of people"), "scopes": ["predict", "model"]}
    keys.write_text(json.dumps({"keys": [entry]}))
    settings = Settings(port=0, api_keys_file=keys, request_timeout_ms=PATIENT_MS)
    with running_server(settings, make_predictor) as address:
        page = open_page(address)
        page.get_by_text("this server asks for an API key").wait_for()
        page.get_by_role("button", name="Simple", exact=True).click()
        page.get_by_text("Not judged: give it to an agent (401)").wait_for()
        page.get_by_text("API key", exact=True).click()
        page.get_by_label("Key, where this server asks for one").fill("key of people")
        page.get_by_role("button", name="Judge this post").click()
        page.locator("#action", has_text="Answer it automatically").wait_for()
        page.get_by_text("model 2026.11.22+fake00").wait_for()


def test_the_interface_can_be_read_and_tried_without_a_network(open_page: OpenPage, serving_address: str) -> None:
    page = open_page(serving_address, "/docs")
    page.locator(".opblock-summary", has_text="/v1/predict").first.click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response-col_status", has_text="200")
    answer.wait_for()
    assert '"action": "auto_answer"' in page.locator(".live-responses-table").inner_text()
