"""The plane for people: tables, figure, a page that holds them, and a file from which all of it is drawn again."""

from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.metrics import Estimate
from training.batches import BatchCost
from training.errors import TrainingError
from training.plane import Measured, Plane
from training.plane_page import (
    JSON_FILE,
    MARKS,
    PAGE_FILE,
    PICTURE_FILE,
    draw_plane,
    put_plane,
    read_plane,
    render_tables,
    write_plane,
)

FP32 = Measured(
    "fp32, fused", 0.8322, Estimate(0, 0, 0), 0.837, 0.0427, 0, 0, 90_300_000, 11.46, 30.1, 170.4, "equal", True, False,
    on_front=True,
)  # fmt: skip
INT8 = Measured(
    "dynamic", 0.8253, Estimate(-0.69, -1.5, 0.1), 0.83, 0.0429, 0.025, 0.0501, 22_800_000, 5.5, 14.2, 340.0, "alone",
    False, True, on_front=True,
)  # fmt: skip
SLOW = replace(FP32, name="OpenVINO, fp32", p50_ms=20.0, on_front=False, same_bytes="padded")
COSTS = (
    *(BatchCost("fp32, fused", "equal", size, 47, 0, 10 + size / 100) for size in (1, 4, 8, 16)),
    *(BatchCost("fp32, fused", "mixed", size, 50.5, size / 40, 12 + size / 100) for size in (1, 4, 8, 16)),
)
PLANE = Plane("A Processor", "1.31.1", 719, 47.0, (FP32, INT8, SLOW), COSTS)
NO_BROWSER = "none here"


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Chromium: pictures have tests of their own, in a browser."""
    monkeypatch.setattr("training.plane_page.take_picture", lambda *_: NO_BROWSER)


def test_the_tables_have_a_line_for_every_way_with_what_ships_in_bold_and_the_front_marked() -> None:
    lines = render_tables(PLANE).splitlines()
    assert lines[0].startswith("719 development posts, 47 tokens in the middle; A Processor, onnxruntime 1.31.1.")
    ways = [line for line in lines if line.startswith(("| 1 |", "| 2 |", "| 3 |"))]
    fp32, dynamic, slow = (line.strip("| ").split(" | ") for line in ways)
    assert fp32[:6] == ["1", "fp32, fused †", "0.8322", "", "0.8370", "0.0427"]
    assert fp32[6:] == ["", "", "yes", "of equal lengths", "90.3", "11.46", "30.10", "170"]
    assert dynamic[:4] == ["2", "**dynamic** †", "0.8253", "-0.69 (-1.50 to +0.10)"]
    assert dynamic[4:10] == ["0.8300", "0.0429", "2.50 %", "5.01 %", "no", "no: run alone"]
    assert slow[1:4] == ["OpenVINO, fp32", "0.8322", "+0.00 (+0.00 to +0.00)"]
    assert slow[8:] == ["yes", "yes", "90.3", "20.00", "30.10", "170"]


def test_the_tables_have_a_line_for_every_kind_of_batch() -> None:
    lines = render_tables(PLANE).splitlines()
    head = lines.index("| way | windows of | alone | 4 together | 8 together | 16 together |")
    assert lines[head + 1 :] == [
        "|---|---|---|---|---|---|",
        "| fp32, fused | 47 tokens | 10.01 | 10.04 | 10.08 | 10.16 |",
        "| fp32, fused | mixed length, padded: 40 % of the last column is padding | 12.01 | 12.04 | 12.08 | 12.16 |",
    ]


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for table in render_tables(PLANE).split("\n\n")[1::2]:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1


def test_the_figure_names_every_way_and_joins_the_front() -> None:
    *dots, front = draw_plane(PLANE).data
    assert [dot.name for dot in dots] == ["1 fp32, fused", "2 dynamic (ships)", "3 OpenVINO, fp32"]
    assert [(*dot.x, *dot.y) for dot in dots] == [(11.46, 0.8322), (5.5, 0.8253), (20.0, 0.8322)]
    assert (list(front.x), list(front.y)) == ([5.5, 11.46], [0.8253, 0.8322])
    assert dots[2].marker.color != dots[0].marker.color == dots[1].marker.color


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert write_plane(PLANE, tmp_path / "new" / "plane") == NO_BROWSER
    assert read_plane(tmp_path / "new" / "plane" / JSON_FILE) == PLANE
    page = (tmp_path / "new" / "plane" / PAGE_FILE).read_text(encoding="utf-8")
    assert "2 dynamic (ships)" in page
    assert '<script src="http' not in page, "the page would need a network"


def test_an_older_picture_does_not_stay_beside_new_figures(tmp_path: Path) -> None:
    (tmp_path / PICTURE_FILE).write_bytes(b"older")
    write_plane(PLANE, tmp_path)
    assert not (tmp_path / PICTURE_FILE).exists()


def test_a_file_that_is_no_plane_is_refused(tmp_path: Path) -> None:
    (tmp_path / JSON_FILE).write_text('{"posts": 3}', encoding="utf-8")
    with pytest.raises(TrainingError) as caught:
        read_plane(tmp_path / JSON_FILE)
    assert str(caught.value) == (
        f"The plane {tmp_path / JSON_FILE} could not be read: 5 of its values do not fit. Wanted: what "
        "`python -m training plane` of this version wrote. Measure it again."
    )


def test_tables_and_picture_are_put_into_a_page(tmp_path: Path) -> None:
    page, picture = tmp_path / "speed.md", tmp_path / PICTURE_FILE
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n", encoding="utf-8")
    picture.write_bytes(b"a picture")
    put_plane(PLANE, tmp_path, page)
    start, figures, end = page.read_text(encoding="utf-8").partition(render_tables(PLANE))
    assert (start.splitlines()[0], figures, end) == ("before", render_tables(PLANE), f"{MARKS[1]}\nafter\n")
    assert start.splitlines()[2].endswith("](speed.png)")
    assert (tmp_path / "speed.png").read_bytes() == b"a picture"


def test_without_a_picture_the_page_shows_none(tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text(f"{MARKS[0]}\n![older](speed.png)\n{MARKS[1]}\n", encoding="utf-8")
    put_plane(PLANE, tmp_path, page)
    assert page.read_text(encoding="utf-8") == f"{MARKS[0]}\n{render_tables(PLANE)}{MARKS[1]}\n"
