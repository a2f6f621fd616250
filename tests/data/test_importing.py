"""`data.importing`: what becomes of other people's tables, and what is said of what cannot be taken."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dependencies import MissingGroupError
from data.importing.draft import mapping_text, taxonomy_text
from data.importing.mapping import ColumnMapping, identity, read_mapping
from data.importing.posts import Imported, UnknownLabelsError, import_posts, write_imported
from data.importing.suggestion import guess
from data.importing.tables import Table, TableOptions, read_table
from data.rejects import RejectedRowsError, SourceError
from data.sources import read_labelled

HEAD = ["Ticket No", "Customer Message", "Team", "Contact reason", "Created", "Followers", "Channel"]
ROWS = [
    ["T-1", 'Wo ist mein "Päckchen"; Größe XL fehlt', "Tier 1", "Order status", "17/03/2026 09:12", "1,204", "Twitter"],
    [
        "T-2",
        "Ich wurde zweimal\nbelastet, für nichts",
        "Tier 2",
        "Billing & payment",
        "18/03/2026 10:12",
        "",
        "Facebook",
    ],
] * 6
MAPPING = """
[columns]
id = "Ticket No"
text = "Customer Message"
route = "Team"
intent = "Contact reason"
posted_at = "Created"
platform = "Channel"
"author.followers" = "Followers"

[constants]
lang = "de"

[formats]
date = "%d/%m/%Y %H:%M"
zone = "Europe/London"
thousands = ","

[values.route]
"Tier 1" = "simple"
"Tier 2" = "complex"

[values.platform]
Twitter = "x"

[values.intent]
"Billing & payment" = "billing_payment"
"""


def numbered(rows: Sequence[list[str]] = ROWS) -> list[list[str]]:
    return [[f"T-{number}", *row[1:]] for number, row in enumerate(rows, start=1)]


def csv_file(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([HEAD, *rows])
    path.write_bytes(buffer.getvalue().encode(encoding))
    return path


def excel_file(path: Path, rows: Sequence[Sequence[object]], head: Sequence[str] = HEAD) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [head, *rows]:
        sheet.append(list(row))
    book.create_sheet("Notes")
    book.save(path)
    book.close()
    return path


def mapping(tmp_path: Path, text: str = MAPPING) -> ColumnMapping:
    (tmp_path / "mapping.toml").write_text(text, encoding="utf-8")
    return read_mapping(tmp_path / "mapping.toml")


def table(columns: Sequence[str], *rows: Sequence[str], path: Path) -> Table:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([columns, *rows])
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return read_table(path)


def test_a_help_desks_export_becomes_posts(tmp_path: Path) -> None:
    imported = import_posts(read_table(csv_file(tmp_path / "a.csv", numbered())), mapping(tmp_path))
    first, second = imported.posts[:2]
    assert (first.id, first.platform, first.lang, first.followers) == ("T-1", "x", "de", 1204)
    assert first.text == 'Wo ist mein "Päckchen"; Größe XL fehlt'
    assert first.posted_at == datetime(2026, 3, 17, 9, 12, tzinfo=UTC)
    assert (first.route, first.intent) == ("simple", "order_status")
    assert (second.route, second.intent, second.platform, second.author) == (
        "complex",
        "billing_payment",
        "facebook",
        None,
    )
    assert second.text == "Ich wurde zweimal\nbelastet, für nichts"


@pytest.mark.parametrize(
    ("delimiter", "encoding", "described"),
    [
        (",", "utf-8-sig", "CSV, utf-8, cells between commas"),
        (";", "cp1252", "CSV, cp1252 (a guess: set table.encoding where letters look wrong), cells between semicolons"),
        ("\t", "utf-16", "CSV, utf-16, cells between tabs"),
        ("|", "utf-8", "CSV, utf-8, cells between bars"),
    ],
)
def test_dialect_and_encoding_of_a_csv_are_found_out_and_told(
    delimiter: str, encoding: str, described: str, tmp_path: Path
) -> None:
    found = read_table(csv_file(tmp_path / "a.csv", numbered(), delimiter, encoding))
    assert found.described == described
    assert [list(row.values.values()) for row in found.rows] == numbered()


@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=12), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=8,
    ).filter(lambda rows: all(any(cell for cell in row) for row in rows))
)
def test_what_a_csv_writer_wrote_comes_back_cell_by_cell(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["a", "b", "c"], *rows])
    path.write_bytes(buffer.getvalue().encode())
    found = read_table(path, TableOptions(delimiter=","))
    assert [list(row.values.values()) for row in found.rows] == rows


def test_quotes_escaped_by_a_backslash_are_understood(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"she said \\"no\\", twice",praise\n"plain, text",praise\n')
    found = read_table(tmp_path / "a.csv")
    assert found.rows[0].values == {"text": 'she said "no", twice', "label": "praise"}
    assert found.described.endswith("quotes escaped by \\")


def test_excel_and_parquet_give_the_same_posts_as_csv(tmp_path: Path) -> None:
    rows, ours = numbered(), mapping(tmp_path)
    pa.parquet.write_table(
        pa.table({name: [row[place] for row in rows] for place, name in enumerate(HEAD)}), tmp_path / "a.parquet"
    )
    expected = import_posts(read_table(csv_file(tmp_path / "a.csv", rows)), ours).posts
    assert import_posts(read_table(tmp_path / "a.parquet"), ours).posts == expected
    found = read_table(excel_file(tmp_path / "a.xlsx", rows))
    assert found.described == "Excel, sheet Sheet (not read: Notes)"
    assert import_posts(found, ours).posts == expected


def test_excels_own_dates_and_numbers_are_read_as_what_they_are(tmp_path: Path) -> None:
    columns = ["id", "text", "route", "intent", "lang", "posted_at", "author.followers"]
    path = excel_file(
        tmp_path / "a.xlsx",
        [[1059, "where?", "simple", "praise", "en", datetime(2026, 3, 17, 9, 12), 12.0]],  # noqa: DTZ001 (Excel knows no zones)
        columns,
    )
    ours = identity(read_table(path)).model_copy(update={"formats": mapping(tmp_path).formats})
    (post,) = import_posts(read_table(path), ours).posts
    assert (post.id, post.followers, post.posted_at) == ("1059", 12, datetime(2026, 3, 17, 9, 12, tzinfo=UTC))


def test_every_unknown_label_is_told_once_with_its_count_and_the_nearest_of_ours(tmp_path: Path) -> None:
    rows = [
        ["a", "Tier 1", "praise"],
        ["b", "simpel", "orders"],
        ["c", "simpel", "praises"],
        ["d", "simple", "praises"],
    ]
    found = table(["text", "route", "intent"], *rows, path=tmp_path / "a.csv")
    ours = identity(table(["text", "route", "intent", "lang"], ["a", "b", "c", "en"], path=tmp_path / "b.csv"))
    ours = ours.model_copy(
        update={"columns": {"text": "text", "route": "route", "intent": "intent"}, "constants": {"lang": "en"}}
    )
    with pytest.raises(UnknownLabelsError) as refused:
        import_posts(found, ours)
    assert str(refused.value) == (
        f"{tmp_path / 'a.csv'} has 4 label names that nobody knows:\n"
        "  intent: 'praises' (2 rows; the nearest is 'praise')\n"
        "  intent: 'orders' (1 rows; the nearest is 'order_status')\n"
        "  route: 'simpel' (2 rows; the nearest is 'simple')\n"
        "  route: 'Tier 1' (1 rows; none of ours is like it)\n"
        'Wanted names of the taxonomy, or lines "theirs" = "ours" below [values.intent], [values.route] in the mapping.'
        " Add them, or put these rows aside with --keep-going --rejects FILE."
    )
    kept = import_posts(found, ours, keep_going=True)
    assert ([post.text for post in kept.posts], [reject.line for reject in kept.rejects]) == ([], [2, 3, 4, 5])
    assert str(kept.rejects[1]) == (
        f"{tmp_path / 'a.csv'}, line 3, route: got 'simpel'; wanted a label of ours; map it below [values.route]; "
        f"the nearest is 'simple'\n{tmp_path / 'a.csv'}, line 3, intent: got 'orders'; wanted a label of ours; "
        "map it below [values.intent]; the nearest is 'order_status'"
    )


def test_rows_that_are_no_posts_are_told_by_line(tmp_path: Path) -> None:
    columns = ["text", "route", "intent", "lang", "posted_at"]
    found = table(
        columns,
        ["", "simple", "praise", "en", ""],
        ["two\nlines", "simple", "praise", "en", ""],
        ["hi", "simple", "praise", "en", "yesterday"],
        path=tmp_path / "a.csv",
    )
    with (tmp_path / "a.csv").open("a") as file:
        file.write("only one cell\n")
    with pytest.raises(RejectedRowsError) as refused:
        import_posts(read_table(tmp_path / "a.csv"), identity(found))
    told = str(refused.value).splitlines()
    assert told[0] == "3 of 4 rows could not be read as posts:"
    assert told[1] == f"{tmp_path / 'a.csv'}, line 2, text: got nothing; wanted a value; add the field"
    assert told[2].startswith(f"{tmp_path / 'a.csv'}, line 5, posted_at: got 'yesterday'; wanted a valid datetime")
    assert told[3].startswith(
        f"{tmp_path / 'a.csv'}, line 6, (line): got 1 cells; wanted 5 cells, as the first row has"
    )


def imported_plain(tmp_path: Path, *texts: str, extra: Sequence[str] = ()) -> Imported:
    columns = ["text", "route", "intent", "lang", *(["annotator"] if extra else [])]
    rows = [[text, "simple", "praise", "en", *extra[n : n + 1]] for n, text in enumerate(texts)]
    found = table(columns, *rows, path=tmp_path / "plain.csv")
    return import_posts(found, identity(found))


def test_ids_are_made_of_the_content_and_stay_the_same(tmp_path: Path) -> None:
    one = imported_plain(tmp_path, "first", "second", "first")
    other = imported_plain(tmp_path, "new", "first", "second", "first")
    ids = [post.id for post in one.posts]
    assert one.generated_ids == 3
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-2"
    assert [post.id for post in other.posts][1:] == ids


def test_two_people_who_labelled_one_post_get_one_id(tmp_path: Path) -> None:
    imported = imported_plain(tmp_path, "first", "first", extra=["anna", "ben"])
    assert len({post.id for post in imported.posts}) == 1
    assert imported.annotators == ("anna", "ben")
    write_imported(tmp_path / "out.jsonl", imported)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["annotator"] for line in lines] == ["anna", "ben"]
    assert read_labelled(tmp_path / "out.jsonl").posts == imported.posts


def test_intents_may_give_the_route_where_there_is_none(tmp_path: Path) -> None:
    found = table(
        ["text", "label"], ["hi", "praise"], ["stolen", "fraud_security"], ["eh", "how_to"], path=tmp_path / "a.csv"
    )
    ours = ColumnMapping(
        columns={"text": "text", "intent": "label"},
        constants={"lang": "en", "route": "complex"},
        route_of_intent={"praise": "simple", "fraud_security": "sensitive"},
    )
    assert [post.route for post in import_posts(found, ours).posts] == ["simple", "sensitive", "complex"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[columns]\ntxet = "a"', "columns.txet is no field of a post; the nearest is 'text'"),
        ('[columns]\nid = "a"', "columns.text is missing"),
        ('[columns]\ntext = "a"\nintent = "b"\nlang = "c"', "nothing says the route"),
        ('[columns]\ntext = "a"\nroute = "b"\nlang = "c"', "nothing says the intent"),
        ('[columns]\ntext = "a"\n[formats]\nzone = "Mars/Base"', "formats.zone: no such time zone"),
        ('[columns]\ntext = "a"\n[colums]\nb = "c"', "colums: Extra inputs are not permitted"),
        ("[columns\n", "line 1"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_told_why(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"The mapping .* cannot be used: ") as refused:
        mapping(tmp_path, text)
    assert told in str(refused.value)
    assert "--suggest mapping.toml" in str(refused.value)


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    found = read_table(csv_file(tmp_path / "a.csv", numbered()))
    with pytest.raises(SourceError) as refused:
        import_posts(found, mapping(tmp_path, MAPPING.replace('"Team"', '"Teams"')))
    assert "takes route from the column 'Teams', which is not there; the nearest is 'Team'" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b'text,label\n"never closed,praise\n', "the row that begins on line 2 is not CSV"),
        ("a.csv", b"text,text\na,b\n", "the column 'text' stands more than once"),
        ("a.csv", b"text,label\n", "it holds no row below the names of its columns"),
        ("a.csv", b"", "it holds no row"),
        ("a.xlsx", b"no zip", "it is no whole Excel file"),
        ("a.parquet", b"no parquet", "it is not whole Parquet"),
        ("a.docx", b"x", "its suffix '.docx' names no known format"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_why(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as refused:
        read_table(tmp_path / name)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (TableOptions(encoding="ascii"), "which is not ascii"),
        (TableOptions(encoding="klingon"), "there is no encoding 'klingon'"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(options: TableOptions, told: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=told):
        read_table(csv_file(tmp_path / "a.csv", numbered()), options)


def test_a_sheet_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="it has no sheet 'Data', but 'Sheet', 'Notes'"):
        read_table(excel_file(tmp_path / "a.xlsx", numbered()), TableOptions(sheet="Data"))


def test_a_suggested_mapping_needs_only_its_question_marks_answered(tmp_path: Path) -> None:
    found = read_table(csv_file(tmp_path / "a.csv", numbered(), ";", "cp1252"))
    text = mapping_text(found, guess(found))
    assert '"Tier 1" = "?"  # 6 rows' in text
    answered = text.replace('"Tier 1" = "?"', '"Tier 1" = "simple"').replace('"Tier 2" = "?"', '"Tier 2" = "complex"')
    ours = mapping(tmp_path, answered + "\n")
    assert ours.columns == mapping(tmp_path).columns
    assert (ours.constants, ours.formats.date, ours.values["platform"]) == (
        {"lang": "de"},
        "%d/%m/%Y %H:%M",
        {"Twitter": "x"},
    )
    with pytest.raises(UnknownLabelsError, match="'Tier 1'"):
        import_posts(found, mapping(tmp_path, text))
    assert len(import_posts(found, ours).posts) == len(ROWS)


def test_plain_intent_data_is_suggested_to_go_to_a_person(tmp_path: Path) -> None:
    rows = [["how do I track my card", "Card-Arrival"], ["where is my refund please", "Refund?"]] * 5
    found = table(["utt", "cls"], *rows, path=tmp_path / "a.csv")
    guessed = guess(found)
    assert guessed.columns == {"text": "utt", "intent": "cls"}
    assert guessed.constants == {"lang": "en", "route": "complex"}
    assert taxonomy_text(found, guessed, "own-1").splitlines()[1:] == [
        'version = "own-1"',
        "",
        "[intents]",
        'card_arrival = "TODO: what card_arrival is about."  # 5 rows',
        'refund = "TODO: what refund is about."  # 5 rows',
    ]


@pytest.mark.parametrize(
    ("dates", "written", "note"),
    [
        (["2026-03-17T09:12:00Z", "2026-03-18"], None, None),
        (["17/03/2026 09:12", "02/03/2026 10:00"], "%d/%m/%Y %H:%M", None),
        (["03/17/2026 09:12", "03/02/2026 10:00"], "%m/%d/%Y %H:%M", None),
        (["02/03/2026 09:12", "01/02/2026 10:00"], "%d/%m/%Y %H:%M", "or %m/%d: both fit"),
        (["Tue Mar 17 09:12:00 +0000 2026"], "%a %b %d %H:%M:%S %z %Y", None),
    ],
)
def test_the_way_dates_are_written_is_guessed(
    dates: list[str], written: str | None, note: str | None, tmp_path: Path
) -> None:
    found = table(["created_at", "message"], *[[date, "where is my parcel"] for date in dates], path=tmp_path / "a.csv")
    guessed = guess(found)
    assert guessed.columns["posted_at"] == "created_at"
    assert (guessed.formats.get("date"), guessed.notes.get("date")) == (written, note)


@pytest.mark.parametrize(
    ("library", "name", "content", "group_name"),
    [
        ("python_calamine", "a.xlsx", b"PK", "excel"),
        ("charset_normalizer", "a.csv", b"text\nGr\xfc\xdfe\n", "evaluate"),
        ("pyarrow", "a.parquet", b"PAR1", "evaluate"),
    ],
)
def test_a_missing_group_is_answered_with_the_command(
    library: str, name: str, content: bytes, group_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingGroupError, match=f"pip install --group {group_name} -c constraints.txt"):
        read_table(tmp_path / name)
