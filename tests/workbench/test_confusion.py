"""The confusion page: the figures of the file report, filtered, beside another bundle, and taken away as files."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from data.sources import write_labelled
from data.steps import finish
from evaluation.predictions import predict_posts
from evaluation.summary import summarise
from models.predictor import Predictor
from serving.settings import Settings
from serving.workbench.confusion.charts import charts_of
from serving.workbench.confusion.sources import labelled_sets, read_in_steps
from serving.workbench.confusion.where import Where
from tests.evaluation.populations import labelled_posts
from tests.models.tiny_bundle import write_tiny_bundle
from tests.workbench.changing import ANOTHER, crown_another
from tests.workbench.conftest import Bench
from tests.workbench.labelled import PATH, POSTS, cell, score, write_posts
from tests.workbench.signing import sign_in, token_for


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    return write_posts(tmp_path / "labelled")


@pytest.fixture
def client(bench: Bench, posts: Path) -> Iterator[TestClient]:
    """A client that is signed in at a server with labelled posts."""
    with bench(qa_posts=posts) as client:
        sign_in(client, "Ada")
        yield client


def test_nothing_is_scored_before_somebody_asks_for_it(client: TestClient) -> None:
    page = client.get(PATH, params={"posts": POSTS}).text
    assert "Not scored yet" in page
    assert client.get(f"{PATH}/posts", params={"posts": POSTS}).status_code == 409
    assert client.post(f"{PATH}/score", data={"posts": POSTS}).status_code == 403
    assert "Not scored yet" in client.get(PATH, params={"posts": POSTS}).text


def test_the_figures_are_those_of_the_file_report(client: TestClient, fake: Predictor, posts: Path) -> None:
    asked = score(client)
    download = client.get(f"{PATH}/confusion.json", params=asked).json()
    labelled = finish(read_in_steps(posts / POSTS, None, fake.bundle.taxonomy))
    report = summarise(predict_posts(fake, labelled, progress=False), fake.policy)
    assert download["summary"] == json.loads(json.dumps(report))
    assert download["origin"]["model_version"] == "2026.11.22+fake00"
    page = client.get(PATH, params=asked).text
    assert f"{100 * report['route']['accuracy']['value']:.1f} %" in page
    assert cell(page, "sensitive", "simple") == report["route"]["confusion"][2][0] > 0


def test_a_cell_leads_to_its_posts_and_they_are_masked(client: TestClient) -> None:
    asked = score(client)
    count = cell(client.get(PATH, params=asked).text, "sensitive", "simple")
    part = client.get(f"{PATH}/posts", params={**asked, "head": "route", "truth": "sensitive", "said": "simple"}).text
    assert part.count("<li>") == count
    assert "[phone]" in part
    assert "7946" not in part
    assert "&lt;img src=x" in part
    assert "<img" not in part


def test_a_long_list_comes_in_parts(client: TestClient) -> None:
    asked = score(client)
    first = client.get(f"{PATH}/posts", params=asked).text
    assert first.count("<li>") == 20
    (address,) = re.findall(r'hx-get="([^"]+)"', first)
    second = client.get(address.replace("&amp;", "&")).text
    assert second.count("<li>") == 20
    assert re.findall(r"<code>(.+?)</code>", first) != re.findall(r"<code>(.+?)</code>", second)


def test_filters_choose_posts_and_all_figures_follow(client: TestClient, posts: Path) -> None:
    asked = score(client)
    rows = [json.loads(line) for line in (posts / POSTS).read_text().splitlines()]
    for name, value, chosen in (
        ("platform", "reddit", [row for row in rows if row["platform"] == "reddit"]),
        ("industry", "travel", [row for row in rows if row["industry"] == "travel"]),
        ("author", "author unknown", [row for row in rows if row["author"] is None]),
        ("intent", "praise", [row for row in rows if row["intent"] == "praise"]),
        ("since", "2026-11-01", [row for row in rows if row.get("posted_at")]),
        ("until", "2026-11-01", [row for row in rows if row.get("posted_at")]),
        ("language", "en", rows),
    ):
        found = client.get(f"{PATH}/confusion.json", params={**asked, name: value}).json()
        assert found["summary"]["posts"] == len(chosen) > 0, name
    sure = client.get(f"{PATH}/cases/posts.csv", params={**asked, "least": "0.99"}).text
    unsure = client.get(f"{PATH}/cases/posts.csv", params={**asked, "most": "0.989999"}).text
    assert len(sure.splitlines()) + len(unsure.splitlines()) == len(rows) + 2


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"least": "much"}, "the least confidence is &#39;much&#39;. Wanted: a number from 0 to 1"),
        ({"most": "nan"}, "the most confidence is &#39;nan&#39;"),
        ({"since": "yesterday"}, "the first day is &#39;yesterday&#39;. Wanted: a day such as 2026-11-22"),
    ],
)
def test_a_filter_that_is_none_is_refused_in_words(client: TestClient, filters: dict[str, str], words: str) -> None:
    answer = client.get(PATH, params={**score(client), **filters})
    assert answer.status_code == 422
    assert words in answer.text


def test_filters_that_leave_no_post_say_so(client: TestClient) -> None:
    asked = {**score(client), "platform": "tiktok"}
    assert "None of the 103 posts is chosen" in client.get(PATH, params=asked).text
    assert client.get(f"{PATH}/confusion.json", params=asked).status_code == 409


def test_a_choice_is_the_same_after_its_way_through_an_address() -> None:
    where = Where(platform="x", intent="praise", least=0.25, until="2026-11-22")
    assert Where.read(where.as_query()) == where
    assert Where().as_query() == {}


def test_matrix_and_posts_open_in_a_spreadsheet(client: TestClient) -> None:
    asked = score(client)
    page = client.get(PATH, params=asked).text
    table = list(csv.reader(io.StringIO(client.get(f"{PATH}/route.csv", params=asked).text.removeprefix("\ufeff"))))
    assert table[0] == ["true label", "simple", "complex", "sensitive", "influencer"]
    assert int(table[3][1]) == cell(page, "sensitive", "simple")
    rows = list(csv.DictReader(io.StringIO(client.get(f"{PATH}/cases/posts.csv", params=asked).text)))
    assert len(rows) == 103
    assert client.get(f"{PATH}/nothing.csv", params=asked).status_code == 404


@pytest.mark.parametrize("name", ["reliability", "confidence", "risk", "route", "intent"])
def test_every_picture_is_a_file_that_stands_alone(client: TestClient, name: str) -> None:
    picture = client.get(f"{PATH}/picture/{name}.svg", params=score(client))
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.lstrip().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "fake00" in picture.text
    assert "class=" not in picture.text or "fill=" in picture.text


def test_what_is_written_below_a_picture_fits_its_width(client: TestClient) -> None:
    asked = score(client)
    for name in ("reliability", "confidence", "risk"):
        notes = re.findall(r'font-size="10"[^>]*>([^<]+)<', client.get(f"{PATH}/picture/{name}.svg", params=asked).text)
        assert any("fake00 on posts.jsonl" in note for note in notes)
        assert max(map(len, notes)) <= 456 / 5, "a character is some 5 wide, and there is room from 12 to 468"


def test_diagrams_lie_within_their_frame(fake: Predictor) -> None:
    charts = charts_of(predict_posts(fake, labelled_posts(3, 1), progress=False))
    for chart in charts.values():
        points = [point for line in chart.lines for point in line.points]
        points += [(bar.x, bar.y) for bar in chart.bars] + [(bar.x, bar.y + bar.height) for bar in chart.bars]
        assert points
        assert all(56 <= x <= 456 and 12 <= y <= 276 for x, y in points)


def test_days_are_no_filter_where_no_post_has_one(client: TestClient, posts: Path) -> None:
    write_labelled(posts / "undated.jsonl", labelled_posts(3, 1))
    assert 'id="f-since"' in client.get(PATH, params=score(client)).text
    undated = score(client, posts="undated.jsonl")
    assert 'id="f-since"' not in client.get(PATH, params=undated).text
    assert 'id="f-since"' in client.get(PATH, params={**undated, "since": "2026-11-01"}).text, "to be taken away"


# two bundles


def test_a_second_bundle_shows_what_it_mends_and_what_it_breaks(
    bench: Bench, posts: Path, tmp_path: Path, fake: Predictor
) -> None:
    write_tiny_bundle(tmp_path / "bundles" / "tiny")
    with bench(qa_posts=posts, bundles_root=tmp_path / "bundles") as client:
        sign_in(client, "Ada")
        assert '<option value="tiny">' in client.get(PATH).text
        asked = score(client, against="tiny")
        page = client.get(PATH, params=asked).text
        broken, mended = (int(re.findall(rf"(\d+) {word}", page)[0]) for word in ("broken", "mended"))
        one = client.get(f"{PATH}/confusion.json", params={**asked, "against": ""}).json()["summary"]
        other = client.get(f"{PATH}/confusion.json", params={**asked, "bundle": "tiny", "against": ""}).json()[
            "summary"
        ]
        right = [round(each["posts"] * each["route"]["accuracy"]["value"]) for each in (one, other)]
        assert right[1] - right[0] == mended - broken
        assert broken > 0
        part = client.get(f"{PATH}/flips", params={**asked, "direction": "broken"}).text
        assert f'data-count="{broken} posts"' in part
        assert "<h3>Before</h3>" in part
        assert client.get(f"{PATH}/flips", params={**asked, "against": ""}).status_code == 409


def test_a_report_ends_with_the_bundle_that_it_is_of(
    bench: Bench, posts: Path, tmp_path: Path, fake: Predictor
) -> None:
    write_tiny_bundle(tmp_path / "bundles" / "tiny")
    with bench(qa_posts=posts, bundles_root=tmp_path / "bundles") as client:
        sign_in(client, "Ada")
        in_service, of_tiny = score(client), score(client, bundle="tiny")
        crown_another(client, fake)
        write_tiny_bundle(tmp_path / "bundles" / "tiny", version="2026.12.01+anew")
        for asked in (in_service, of_tiny):
            assert "Not scored yet" in client.get(PATH, params=asked).text
        assert ANOTHER in client.get(PATH, params=score(client)).text
        assert "2026.12.01+anew" in client.get(PATH, params=score(client, bundle="tiny")).text


def test_a_bundle_that_cannot_be_trusted_is_refused_with_the_reason(bench: Bench, posts: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bundles" / "broken"
    write_tiny_bundle(broken)
    (broken / "labels.json").write_text("{}")
    with bench(qa_posts=posts, bundles_root=tmp_path / "bundles") as client:
        sign_in(client, "Ada")
        page = client.get(PATH, params=score(client, bundle="broken")).text
        assert "It did not work" in page
        assert "labels.json" in page
        assert "Try again" in page


# what lies in the directory


def test_without_labelled_posts_the_page_says_where_to_put_them(bench: Bench, tmp_path: Path) -> None:
    with bench(qa_posts=tmp_path / "nothing") as client:
        sign_in(client, "Ada")
        assert "No labelled files yet" in client.get(PATH).text


@pytest.mark.parametrize("name", ["../keys.json", "/etc/passwd", "nothing.jsonl"])
def test_no_file_can_be_asked_for_but_those_that_are_offered(client: TestClient, name: str) -> None:
    assert client.get(PATH, params={"posts": name}).status_code == 404
    assert client.post(f"{PATH}/score", data={"csrf": token_for(client), "posts": name}).status_code == 404


def test_a_file_that_is_none_fails_with_its_line(client: TestClient, posts: Path) -> None:
    (posts / "bad.jsonl").write_text('{"id": "1"}\n')
    page = client.get(PATH, params=score(client, posts="bad.jsonl")).text
    assert "It did not work" in page
    assert "bad.jsonl" in page


def test_a_file_that_has_changed_is_scored_anew(client: TestClient, posts: Path) -> None:
    asked = score(client)
    with (posts / POSTS).open("a") as file:
        file.write((posts / POSTS).read_text().splitlines()[0].replace("post-0000", "post-one-more") + "\n")
    assert "Not scored yet" in client.get(PATH, params=asked).text
    score(client)
    assert client.get(f"{PATH}/confusion.json", params=asked).json()["summary"]["posts"] == 104


def test_the_agreement_of_people_stands_beside_the_model(client: TestClient, posts: Path) -> None:
    asked = score(client)
    assert "How far people agree is not known" in client.get(PATH, params=asked).text
    measured = {"alpha": 0.81, "low": 0.74, "high": 0.86, "posts": 200, "annotators": 3}
    (posts / "posts.agreement.json").write_text(json.dumps({"route": measured}))
    page = client.get(PATH, params=asked).text
    assert "people among themselves reach <strong>0.81</strong> (0.74 to 0.86, 3 people, 200 posts)" in page


def test_a_directory_with_splits_offers_its_parts() -> None:
    offered = [each.name for each in labelled_sets(Settings.model_construct().qa_posts)]
    assert offered[0] == "corpus: calibration"
    assert {"corpus: train", "plain.jsonl"} <= set(offered)
