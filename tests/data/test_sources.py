"""Posts from files of every format: the same posts, and every bad row told by place, field, value and remedy."""

import csv
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.post import Author, LabelledPost, Post, Reach
from data.rejects import RejectedRowsError, SourceError, write_rejects
from data.sources import read_labelled, read_posts, write_labelled
from tests.data.strategies import labelled, labelled_posts

POST = labelled(
    "1059",
    "where do I track my parcel?",
    author={"handle": "@tobes", "followers": 212, "verified": False, "bio": "leeds | snow"},
    reach={"reposts": 0, "replies": 1, "likes": 0},
)
BARE = labelled("1060", 'late, "again"\nsays the app', industry="rail", contrast_of="1059")
ROW: dict[str, Any] = {"id": "a", "text": "hi", "lang": "en", "route": "simple", "intent": "praise"}
COLUMNS = (
    "id", "text", "platform", "lang", "author.handle", "author.followers", "author.verified", "author.bio",
    "reach.reposts", "reach.replies", "reach.likes", "in_reply_to", "posted_at", "industry", "route", "intent",
    "contrast_of",
)  # fmt: skip


def flat(post: LabelledPost) -> dict[str, Any]:
    """The post as one level of dotted columns, every column there."""
    values = post.model_dump(mode="json")
    inner = {f"{name}.{key}": v for name in ("author", "reach") for key, v in (values.pop(name) or {}).items()}
    return {column: (values | inner).get(column) for column in COLUMNS}


def write_csv(path: Path, posts: Iterable[LabelledPost]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(flat(post) for post in posts)


def write_flat_parquet(path: Path, posts: Iterable[LabelledPost]) -> None:
    pq.write_table(pa.Table.from_pylist([flat(post) for post in posts]), path)


def write_nested_parquet(path: Path, posts: Iterable[LabelledPost]) -> None:
    pq.write_table(pa.Table.from_pylist([post.model_dump(mode="json") for post in posts]), path)


def write_dataset(path: Path, posts: Iterable[LabelledPost]) -> None:
    datasets.Dataset.from_list([post.model_dump(mode="json") for post in posts]).save_to_disk(path)


WRITERS: Mapping[str, Callable[[Path, Iterable[LabelledPost]], None]] = {
    "posts.jsonl": write_labelled,
    "posts.ndjson": write_labelled,
    "posts.csv": write_csv,
    "flat.parquet": write_flat_parquet,
    "nested.parquet": write_nested_parquet,
    "dataset": write_dataset,
}


@pytest.fixture(scope="module", autouse=True)
def _no_bars_of_datasets() -> None:
    datasets.disable_progress_bars()


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def problems(path: Path | str) -> list[tuple[int, str, str]]:
    """The line, the field and the shown value of every problem in a source."""
    with pytest.raises(RejectedRowsError) as refused:
        read_labelled(path)
    return [(reject.line, each.field, each.value) for reject in refused.value.rejects for each in reject.problems]


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceError) as refused:
        read_labelled(path)
    return str(refused.value)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_posts(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, [POST, BARE])
    reading = read_labelled(tmp_path / name)
    assert reading.posts == (POST, BARE)
    assert (reading.rejects, reading.ignored_fields) == ((), ())


@settings(max_examples=25)
@given(st.lists(labelled_posts(), min_size=1, max_size=5))
def test_every_format_gives_the_same_posts_whatever_they_hold(posts: list[LabelledPost]) -> None:
    for name, write in WRITERS.items():
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            write(path, posts)
            assert read_labelled(path).posts == tuple(posts), name


def test_what_is_written_is_read_again_with_its_time(tmp_path: Path) -> None:
    post = POST.model_copy(update={"posted_at": datetime(2026, 11, 22, 9, tzinfo=UTC)})
    write_labelled(tmp_path / "posts.jsonl", [post])
    assert read_labelled(tmp_path / "posts.jsonl").posts == (post,)


def test_a_directory_gives_the_posts_of_every_data_file_in_order_of_name(tmp_path: Path) -> None:
    write_csv(tmp_path / "b.csv", [BARE])
    write_labelled(tmp_path / "a.jsonl", [POST])
    (tmp_path / "README.md").write_text("no posts")
    reading = read_labelled(tmp_path)
    assert reading.posts == (POST, BARE)
    assert reading.files == (str(tmp_path / "a.jsonl"), str(tmp_path / "b.csv"))


def test_several_sources_are_read_one_after_the_other(tmp_path: Path) -> None:
    write_csv(tmp_path / "b.csv", [BARE])
    write_labelled(tmp_path / "a.jsonl", [POST])
    assert read_labelled([tmp_path / "b.csv", str(tmp_path / "a.jsonl")]).posts == (BARE, POST)


def test_a_saved_dataset_is_read_by_split(tmp_path: Path) -> None:
    parts = {"train": [POST], "test": [BARE]}
    datasets.DatasetDict(
        {
            name: datasets.Dataset.from_list([post.model_dump(mode="json") for post in posts])
            for name, posts in parts.items()
        }
    ).save_to_disk(tmp_path / "both")
    assert read_labelled(tmp_path / "both").posts == (POST, BARE)
    assert read_labelled(f"hf:{tmp_path / 'both'}::test").posts == (BARE,)
    assert "KeyError: 'validation'" in refusal(f"hf:{tmp_path / 'both'}::validation")


def test_class_numbers_of_a_dataset_become_their_names(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list([ROW | {"route": "simple"}, ROW | {"id": "b", "route": "complex"}])
    rows.class_encode_column("route").save_to_disk(tmp_path / "classes")
    assert [post.route for post in read_labelled(tmp_path / "classes").posts] == ["simple", "complex"]


def test_a_dataset_of_the_hub_is_asked_for_by_name_configuration_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def load(name: str, config: str | None, split: str | None) -> datasets.Dataset | datasets.DatasetDict:
        asked.append((name, config, split))
        rows = datasets.Dataset.from_list([ROW])
        return rows if split else datasets.DatasetDict({"train": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    for source in ("hf:who/what", "hf:who/what:small", "hf:who/what:small:test", "hf:who/what::test"):
        assert len(read_labelled(source).posts) == 1
    assert asked == [
        ("who/what", None, None), ("who/what", "small", None), ("who/what", "small", "test"),
        ("who/what", None, "test"),
    ]  # fmt: skip


def test_a_dataset_that_cannot_be_reached_is_told_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'who/what' on the Hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert refusal("hf:who/what") == (
        "The source 'hf:who/what' could not be read: ConnectionError: Couldn't reach 'who/what' on the Hub. "
        "Wanted a dataset of the hub that can be reached, or a directory written by `save_to_disk`. "
        "Check the name, the configuration, the split and the connection."
    )


@pytest.mark.parametrize("source", ["hf:", "hf:a:b:c:d"])
def test_a_dataset_name_of_another_form_is_refused(source: str) -> None:
    assert "Wanted hf:NAME, hf:NAME:CONFIG, hf:NAME:CONFIG:SPLIT or hf:NAME::SPLIT" in refusal(source)


def test_empty_strings_and_empty_objects_are_unknown_values(tmp_path: Path) -> None:
    row = ROW | {
        "platform": "",
        "author": {"handle": "", "bio": None},
        "reach": {},
        "in_reply_to": "",
        "contrast_of": "",
    }
    (post,) = read_labelled(write_lines(tmp_path / "a.jsonl", row)).posts
    assert post == LabelledPost.model_validate(ROW)


def test_whole_numbers_that_a_table_keeps_as_fractions_are_read(tmp_path: Path) -> None:
    rows = [ROW | {"author": {"followers": 212.0}}, ROW | {"id": "b", "author": {"followers": float("nan")}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [post.followers for post in read_labelled(tmp_path / "a.parquet").posts] == [212, None]


def test_a_csv_needs_only_the_columns_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffid, text ,lang,route,intent,author.verified\n\na,hi,en,simple,praise,TRUE\n")
    (post,) = read_labelled(tmp_path / "a.csv").posts
    assert post.author == Author(verified=True)


def test_foreign_fields_are_ignored_and_named_once(tmp_path: Path) -> None:
    row = ROW | {"source": "x", "stratum": 3, "author": {"handle": "sue", "location": "Leeds"}}
    reading = read_labelled(write_lines(tmp_path / "a.jsonl", row, row | {"id": "b"}))
    assert len(reading.posts) == 2
    assert reading.ignored_fields == ("author.location", "source", "stratum")


def test_plain_posts_need_a_text_alone_and_name_the_labels_they_pass_over(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "hi", "reach": {"likes": 3}}, ROW)
    reading = read_posts(path)
    assert reading.posts == (Post(text="hi", reach=Reach(likes=3)), Post(id="a", text="hi", lang="en"))
    assert reading.ignored_fields == ("intent", "route")


def test_a_bad_row_is_told_by_file_line_field_value_and_remedy(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", ROW, ROW | {"route": "urgent"})
    assert refusal(path) == (
        f"1 of 2 rows could not be read as posts:\n{path}, line 2, route: got 'urgent'; wanted 'simple', 'complex', "
        "'sensitive' or 'influencer'; use one of these values\n"
        "Correct them, or put them aside with --keep-going --rejects FILE and read the rest."
    )


def test_every_wrong_field_of_every_row_is_told(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        {"id": 5, "text": "", "lang": "english", "route": "simple", "intent": "praise"},
        ROW,
        ROW | {"author": {"followers": -1, "verified": "maybe"}, "reach": "far"},
        ROW | {"text": "late " * 500},
    )
    assert problems(path) == [
        (1, "id", "5"),
        (1, "text", "nothing"),
        (1, "lang", "'english'"),
        (3, "author.followers", "-1"),
        (3, "author.verified", "'maybe'"),
        (3, "reach", "'far'"),
        (4, "text", f"'{'late ' * 12}... (2500 characters)'"),
    ]


def test_a_shown_value_holds_no_personal_data(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", ROW | {"author": "sue, 07700 900123, sue@mail.example"})
    assert problems(path) == [(1, "author", "'sue, [phone], [email]'")]


def test_broken_json_lines_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": \n\n[1]\n"a"\n{"text": "caf\xe9"}\n' + b"[" * 100_000 + b"\n" + json.dumps(ROW).encode())
    with pytest.raises(RejectedRowsError) as refused:
        read_labelled(path)
    assert [(reject.line, reject.problems[0].field) for reject in refused.value.rejects] == [
        (1, "(line)"), (3, "(line)"), (4, "(line)"), (5, "(line)"), (6, "(line)"),
    ]  # fmt: skip
    told = str(refused.value).splitlines()
    assert told[0] == "5 of 6 rows could not be read as posts:"
    assert told[1].endswith("wanted one JSON object on the line (Expecting value at character 7); correct the JSON")
    assert "UTF-8 text, but byte 14 of the line is 0xe9; convert the file to UTF-8" in told[4]


def test_half_a_surrogate_is_a_bad_value_that_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW | {"text": "oh \ud83d"}))
    assert problems(path) == [(1, "text", "'oh \\ud83d'")]


def test_keep_going_reads_the_rest_and_keeps_the_bad_rows_as_they_were(tmp_path: Path) -> None:
    bad = ROW | {"route": "urgent", "text": "ring 07700 900123", "extra": 1}
    path = write_lines(tmp_path / "a.jsonl", ROW, bad, ROW | {"id": "c"})
    reading = read_labelled(path, keep_going=True)
    assert [post.id for post in reading.posts] == ["a", "c"]
    write_rejects(tmp_path / "rejects.jsonl", reading.rejects)
    (line,) = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "file": str(path),
        "line": 2,
        "problems": [
            {
                "field": "route",
                "value": "'urgent'",
                "wanted": "'simple', 'complex', 'sensitive' or 'influencer'",
                "remedy": "use one of these values",
                "code": "literal_error",
            }
        ],
        "row": bad,
    }


def test_no_row_is_lost_between_posts_and_rejects(tmp_path: Path) -> None:
    rows = [ROW | {"id": str(n), "route": "simple" if n % 3 else "urgent"} for n in range(30)]
    reading = read_labelled(write_lines(tmp_path / "a.jsonl", *rows), keep_going=True)
    ids = [post.id for post in reading.posts] + [str(reject.line - 1) for reject in reading.rejects]
    assert sorted(ids, key=int) == [row["id"] for row in rows]


def test_a_reject_does_not_print_its_row(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", ROW | {"route": "urgent", "text": "a secret"})
    (reject,) = read_labelled(path, keep_going=True).rejects
    assert "secret" not in repr(reject)


def test_the_line_of_a_csv_row_is_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text,lang,route,intent\na,"two\nlines",en,simple,praise\nb,hi,en,urgent,praise\nc,hi,en\n')
    assert problems(path) == [(4, "route", "'urgent'"), (5, "(line)", "3 cells")]


def test_a_bad_row_of_a_table_is_told_by_its_number(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW, ROW | {"lang": "english"}]), tmp_path / "a.parquet")
    assert problems(tmp_path / "a.parquet") == [(2, "lang", "'english'")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"", "{path} is empty: it holds no row. Wanted at least one post."),
        ("a.csv", b"", "{path} is empty: it holds no row. Wanted at least one post."),
        ("a.csv", b"id,text\n", "{path} is empty: it holds no row. Wanted at least one post."),
        ("a.csv", b"id,tweet\na,hi\n", "{path} could not be read: it has no column 'text', but 'id', 'tweet'."),
        ("a.csv", b"text,text\na,hi\n", "{path} could not be read: the column 'text' stands more than once."),
        ("a.csv", b'text\n"open\n', "{path} could not be read: the row that begins on line 2 is not CSV"),
        ("a.csv", b"text\nhi\ncaf\xe9\n", "{path} could not be read: line 3 holds the byte 0xe9, which is not UTF-8."),
        ("a.parquet", b"no parquet", "{path} could not be read: it is not whole Parquet"),
        ("a.xlsx", b"x", "{path} could not be read: its suffix '.xlsx' names no known format. Wanted one of .jsonl,"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_what_was_wanted(
    name: str, content: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert told.format(path=path) in refusal(path)


def test_a_missing_file_is_told_with_what_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "gone.jsonl"
    assert refusal(path) == (
        f"The source {path} could not be read: there is no such file or directory. Wanted a file (.jsonl, .ndjson, "
        ".csv, .parquet), a directory of such files, or hf:NAME. Check the path."
    )


def test_a_directory_without_data_files_is_refused(tmp_path: Path) -> None:
    assert f"The directory {tmp_path} could not be read: it holds no data file." in refusal(tmp_path)


def test_a_column_beside_its_own_parts_is_a_bad_value_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,lang,route,intent,author,author.handle\na,hi,en,simple,praise,sue,sue\n")
    assert problems(path) == [(1 + 1, "author", "'sue'")]
