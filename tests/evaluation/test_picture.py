"""A page becomes a picture of the size that is asked for; without a browser a person is told what to do."""

import struct
from pathlib import Path

import pytest

from evaluation.picture import take_picture

PNG = b"\x89PNG\r\n\x1a\n"


def test_without_a_browser_a_person_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", "my-browser")
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    assert take_picture(page, picture, 100, 50) == (
        f"No picture was taken of {page}: none of my-browser, chromium, chromium-browser, google-chrome is there. "
        "Type `make chromium`."
    )
    assert not picture.exists()


@pytest.mark.browser
def test_a_page_becomes_a_picture_of_the_size_that_is_asked_for(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text("<body style='background: #2f7fd6'>", encoding="utf-8")
    assert take_picture(page, picture, 300, 200) is None
    content = picture.read_bytes()
    assert content.startswith(PNG)
    assert struct.unpack(">II", content[16:24]) == (300, 200)  # the first chunk of a PNG begins with its size
