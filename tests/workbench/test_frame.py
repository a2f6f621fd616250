"""The frame of the pages: who is let in, what a page may load, and what is said where something is missing."""

import hashlib
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.predictor import Predictor
from serving.settings import Settings
from serving.workbench.pages import STATIC
from tests.serving.clients import running_server
from tests.serving.sockets import connect, rest_of
from tests.workbench.conftest import Bench, write_keys
from tests.workbench.signing import sign_in, token_for, token_of

DECISION = Path("docs/decisions/0034-workbench.md")


def test_who_is_not_signed_in_is_asked_to_and_comes_back_to_where_they_were(bench: Bench) -> None:
    with bench() as client:
        asked = client.get("/qa?a=b")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/qa/login?next=%2Fqa%3Fa%3Db"
        assert sign_in(client, "Ada", "/qa?a=b").headers["location"] == "/qa?a=b"
        assert "Overview" in client.get("/qa").text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/qa", "/qa.evil", "/v1/predict", ""])
def test_signing_in_leads_to_no_other_place(bench: Bench, target: str) -> None:
    with bench() as client:
        assert sign_in(client, "Ada", target).headers["location"] == "/qa"


def test_a_part_of_a_page_that_is_asked_for_too_late_leads_to_the_sign_in(bench: Bench) -> None:
    with bench() as client:
        answer = client.get("/qa", headers={"HX-Request": "true"})
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"] == "/qa/login?next=%2Fqa"


def test_a_session_is_out_of_reach_of_scripts_and_of_other_sites(bench: Bench) -> None:
    with bench() as client:
        cookie = sign_in(client, "Ada").headers["set-cookie"]
        assert {"HttpOnly", "Path=/qa", "SameSite=strict", "Max-Age=43200"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        over_tls = client.get("/qa/login", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
        assert "Secure" in over_tls.split("; ")


def test_a_session_that_was_changed_or_is_of_another_server_is_none(bench: Bench) -> None:
    with bench() as client:
        sign_in(client, "Ada")
        cookie = client.cookies["signalbox-qa"]
    with bench() as other:
        for value in (cookie, cookie[:-2], "e30.x.y"):
            other.cookies.set("signalbox-qa", value, domain="127.0.0.1", path="/qa")
            assert other.get("/qa").status_code == 303


# with keys


def test_a_key_with_the_scope_opens_the_workbench(bench: Bench, keys_file: Path) -> None:
    with bench(api_keys_file=keys_file) as client:
        assert sign_in(client, "key of ben").status_code == 303
        page = client.get("/qa").text
        assert "ben" in page
        assert "no keys file" not in page


def test_other_keys_open_nothing_and_are_told_why(bench: Bench, keys_file: Path) -> None:
    with bench(api_keys_file=keys_file) as client:
        unknown = sign_in(client, "no such key")
        assert unknown.status_code == 401
        assert "this key is not in the keys file. Wanted: a key with the scope qa." in unknown.text
        assert "no such key" not in unknown.text
        refused = sign_in(client, "key of crm")
        assert refused.status_code == 401
        assert "has the scopes predict. Wanted: qa." in refused.text
        assert client.get("/qa").status_code == 303


def test_a_session_ends_when_its_key_is_withdrawn(
    bench: Bench, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.auth.LOOK_EVERY_S", 0.0)
    with bench(api_keys_file=keys_file) as client:
        sign_in(client, "key of ada")
        assert client.get("/qa").status_code == 200
        write_keys(keys_file, "ben")
        ended = client.get("/qa")
        assert ended.status_code == 303
        assert "withdrawn" in client.get(ended.headers["location"]).text


def test_a_new_key_under_an_old_name_does_not_inherit_sessions(
    bench: Bench, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.auth.LOOK_EVERY_S", 0.0)
    with bench(api_keys_file=keys_file) as client:
        sign_in(client, "key of ada")
        keys_file.write_text(keys_file.read_text().replace(hashlib.sha256(b"key of ada").hexdigest(), "0" * 64))
        assert client.get("/qa").status_code == 303


# forms


def test_a_form_without_the_token_of_the_session_changes_nothing(reader: TestClient) -> None:
    token = token_for(reader)
    for form, headers in (
        ({}, {}),
        ({"csrf": "x" * len(token)}, {}),
        ({"csrf": "é"}, {}),
        ({"csrf": token}, {"Origin": "https://evil.example"}),
        ({"csrf": token}, {"Origin": "null"}),
    ):
        answer = reader.post("/qa/logout", data=form, headers=headers)
        assert answer.status_code == 403
        assert "Nothing was changed" in answer.text
    assert reader.get("/qa").status_code == 200
    assert reader.post("/qa/logout", data={"csrf": token}, headers={"Origin": "http://127.0.0.1"}).status_code == 303
    assert reader.get("/qa").status_code == 303


def test_a_stranger_cannot_sign_somebody_in(bench: Bench) -> None:
    with bench() as client:
        assert client.post("/qa/login", data={"key": "Mallory"}).status_code == 403
        token = token_of(client.get("/qa/login"))
        elsewhere = client.post(
            "/qa/login", data={"csrf": token, "key": "Mallory"}, headers={"Origin": "http://evil.example"}
        )
        assert elsewhere.status_code == 403


def test_a_form_that_is_too_large_is_not_read(reader: TestClient) -> None:
    answer = reader.post("/qa/logout", data={"csrf": "x" * 70_000})
    assert answer.status_code == 413
    assert "no form of these pages is so large" in answer.text


def sent_without_its_body(address: str, path: str) -> bytes:
    """What a server answers to a form that is announced and never comes."""
    with connect(address) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head.encode())
        return rest_of(connection)


def test_a_form_that_does_not_arrive_in_time_is_given_up(fake: Predictor, journal: str) -> None:
    settings = Settings(port=0, request_timeout_ms=50, journal=journal)
    with running_server(settings, lambda: fake) as address:
        answer = sent_without_its_body(address, "/qa/login")
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"The form was given up: it did not arrive before the deadline." in answer


def test_of_who_is_not_signed_in_no_form_is_waited_for(address: str) -> None:
    answer = sent_without_its_body(address, "/qa/review/readings")
    assert answer.startswith(b"HTTP/1.1 303 ")
    assert b"location: /qa/login?next=%2Fqa\r\n" in answer


# the open server


@pytest.mark.parametrize("address", ["http://rebound.example", "http://192.0.2.7:8000"])
def test_an_open_server_is_not_shown_under_a_strange_name(bench: Bench, address: str) -> None:
    with bench(address) as client:
        answer = client.get("/qa/login")
        assert answer.status_code == 403
        assert "this server has no keys file" in answer.text


def test_an_open_server_says_so_on_every_page_and_asks_for_a_name(reader: TestClient, bench: Bench) -> None:
    assert "This server has no keys file" in reader.get("/qa").text
    with bench() as client:
        assert "the name has 0 characters" in sign_in(client, "   ").text


# every page


def test_what_the_operator_wants_said_stands_on_every_page(bench: Bench) -> None:
    with bench(qa_notice="Staging <b>only</b>") as client:
        assert "Staging" not in client.get("/qa/login").text
        sign_in(client, "Ada")
        for path in ("/qa", "/qa/review", "/qa/confusion"):
            assert "Staging &lt;b&gt;only&lt;/b&gt;" in client.get(path).text


def test_pages_run_nothing_inline_and_load_nothing_foreign(reader: TestClient) -> None:
    for path in ("/qa", "/qa/login", "/qa/no-such-page"):
        page = reader.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page.text)
        assert not re.search(r"""(?:src|href|action)=["'](?!/qa|#|data:,)""", page.text)


def test_files_of_pages_are_kept_for_good_under_the_address_of_their_content(reader: TestClient) -> None:
    addresses = re.findall(r'"(/qa/static/[^"]+)"', reader.get("/qa").text)
    assert len(addresses) == 5
    for address in addresses:
        assert "immutable" in reader.get(address).headers["cache-control"]
        assert reader.get(address.partition("?")[0]).headers["cache-control"] == "no-cache"
    assert reader.get("/qa/static/nothing.js").status_code == 404
    assert reader.get("/qa/static/htmx.LICENSE").status_code == 404


def test_the_library_that_came_along_is_the_one_that_was_noted() -> None:
    digest = hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest()
    assert digest in DECISION.read_text(encoding="utf-8")
    assert "Permission to use" in (STATIC / "htmx.LICENSE").read_text(encoding="utf-8")


def test_what_is_not_there_is_said_in_words(reader: TestClient) -> None:
    missing = reader.get("/qa/no-such-page")
    assert missing.status_code == 404
    assert "Choose one there" in missing.text
    wrong = reader.post("/qa", data={"csrf": token_for(reader)})
    assert wrong.status_code == 405
    part = reader.get("/qa/no-such-page", headers={"HX-Request": "true"})
    assert part.headers["content-type"].startswith("text/plain")


def test_the_overview_says_what_is_in_service(reader: TestClient) -> None:
    page = reader.get("/qa").text
    assert "2026.11.22+fake00" in page
    assert "policy" in page
