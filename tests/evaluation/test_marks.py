"""Figures are put between the marks of a page, over what stood there, and nothing else changes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks.intents.tables import MARKS as YARDSTICKS
from evaluation.benchmarks.serving.tables import MARKS as BENCHMARKS
from evaluation.marks import Marks, MarksError, put_between
from training.card import MARKS as CARD
from training.plane_page import MARKS as PLANE

MARKS = ("<!-- ours -->", "<!-- /ours -->")
PLAIN = st.text(st.characters(exclude_characters="<"))


@given(before=PLAIN, old=PLAIN, new=PLAIN, after=PLAIN)
def test_figures_replace_what_stood_between_the_marks_and_nothing_else(
    before: str, old: str, new: str, after: str
) -> None:
    page = f"{before}{MARKS[0]}\n{old}{MARKS[1]}{after}"
    once = put_between(page, MARKS, new)
    assert once == f"{before}{MARKS[0]}\n{new}{MARKS[1]}{after}"
    assert put_between(once, MARKS, new) == once


@pytest.mark.parametrize("page", ["", "# A page\n", MARKS[0], MARKS[1], f"{MARKS[1]}\n{MARKS[0]}\n"])
def test_a_page_without_both_marks_in_order_is_refused(page: str) -> None:
    with pytest.raises(MarksError) as caught:
        put_between(page, MARKS, "new")
    assert str(caught.value) == (
        "The figures could not be put in: the page has no lines <!-- ours --> and <!-- /ours --> in this order. "
        "Write both where the figures belong."
    )


@pytest.mark.parametrize(
    ("page", "marks"),
    [
        ("README.md", CARD),
        ("docs/model-speed.md", PLANE),
        ("docs/benchmarks.md", BENCHMARKS),
        ("docs/yardsticks.md", YARDSTICKS),
    ],
)
def test_the_pages_of_the_repository_have_their_marks_with_the_command_that_fills_them(page: str, marks: Marks) -> None:
    assert "new" in put_between(Path(page).read_text(encoding="utf-8"), marks, "new")
    assert f"{page}" in marks[0]
