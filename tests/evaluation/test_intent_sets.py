"""Published sets as texts: read where they lie, by name from the hub, their names folded, their strangers refused."""

import csv
import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks.intents import sets
from evaluation.benchmarks.intents.sets import HUB, SetError, Text, fold_names, hold_out, read_sets, write_set

LABELS = ("Refund_not_showing_up", "reverted_card_payment?")


def write(path: Path, head: tuple[str, ...], *rows: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All four sets in small, in the form of the published files."""
    two = [("where is it", LABELS[0]), ("it came back", LABELS[1])]
    write(tmp_path / "banking77" / "train.csv", ("text", "label"), *two)
    write(tmp_path / "banking77" / "test.csv", ("text", "label"), ("not here", LABELS[0]))
    few = [("train_10", *row) for row in two]
    write(tmp_path / "banking77" / "train_10shot.csv", ("part", "text", "label"), *few)
    clinc = [
        ("train", "play it", "play_music"),
        ("train", "stop it", "stop"),
        ("val", "play that", "play_music"),
        ("test", "stop that", "stop"),
        ("oos_train", "who", "oos"),
        ("oos_val", "what", "oos"),
        ("oos_test", "when", "oos"),
    ]
    write(tmp_path / "clinc150" / "data.csv", ("split", "text", "label"), *clinc)
    hint3 = [
        (f"{bot} {label} {place}", label, bot, split)
        for bot in sets.HINT3_BOTS
        for split, count in (("train", 10), ("test", 2))
        for label in ("OFFERS", "REFUND", *(["NO_NODES_DETECTED"] if split == "test" else []))
        for place in range(count)
    ]
    write(tmp_path / "hint3" / "data.csv", ("sentence", "label", "bot", "split"), *hint3)
    return tmp_path


def test_every_set_is_read_where_it_lies(data: Path) -> None:
    found = {each.name: each for each in read_sets(list(sets.SETS), str(data))}
    assert list(found) == ["banking77", "banking77-10shot", "clinc150", *(f"hint3-{bot}" for bot in sets.HINT3_BOTS)]
    assert found["banking77"].intents == ("refund_not_showing_up", "reverted_card_payment")
    assert [text.text for text in found["banking77-10shot"].part("test")] == ["not here"]


def test_texts_out_of_scope_stand_in_the_held_out_parts_alone(data: Path) -> None:
    clinc, *bots = read_sets(["clinc150", "hint3"], str(data))
    outside = [text for text in clinc.texts if text.intent is None]
    assert outside == [Text("development", "what", None), Text("test", "when", None)]
    assert all(sum(text.intent is None for text in bot.part("test")) == 2 for bot in bots)
    assert all(text.intent is not None for bot in bots for text in bot.part("train"))


def test_a_fifth_of_each_intent_is_held_out_of_hint3(data: Path) -> None:
    bot, *_ = read_sets(["hint3"], str(data))
    assert [len(bot.part("train")), len(bot.part("development"))] == [16, 4]
    assert {text.intent for text in bot.part("development")} == {"offers", "refund"}


@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_holding_out_moves_texts_and_leaves_every_intent_some(counts: list[int]) -> None:
    texts = [Text("train", f"{intent} {n}", f"i{intent}") for intent, count in enumerate(counts) for n in range(count)]
    parted = hold_out(texts)
    assert [text.text for text in parted] == [text.text for text in texts]
    assert {text.intent for text in parted if text.part == "train"} == {text.intent for text in texts}
    assert parted == hold_out(texts)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Refund", "refund?"], "The intent 'refund?' could not be named: 'Refund' becomes 'refund' too."),
        (["???"], "The intent '???' could not be named: no letter or digit."),
    ],
)
def test_names_that_become_one_or_nothing_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(SetError) as caught:
        fold_names(names)
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("Rename one in the data.")


def test_sets_are_loaded_from_the_hub_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(LABELS))})
    train = Dataset.from_dict({"text": ["where is it", "it came back"], "label": [0, 1]}, features=features)
    test = Dataset.from_dict({"text": ["not here"], "label": [0]}, features=features)
    DatasetDict(train=train, test=test).save_to_disk(tmp_path / "saved")
    monkeypatch.setattr(sets, "BANKING77_ON_HUB", f"hf:{tmp_path / 'saved'}")
    (banking,) = read_sets(["banking77"], HUB)
    assert banking.texts[0] == Text("train", "where is it", "refund_not_showing_up")
    assert banking.part("test") == [Text("test", "not here", "refund_not_showing_up")]


@pytest.mark.parametrize("name", ["banking77-10shot", "hint3"])
def test_a_set_that_is_published_as_files_alone_says_so(name: str) -> None:
    with pytest.raises(SetError, match=r"could not be read from the hub.*Name the directory above it with --data"):
        read_sets([name], HUB)


def test_a_file_that_is_not_there_an_empty_cell_and_an_unknown_set_are_named(data: Path) -> None:
    with pytest.raises(SetError, match=r"There is no set 'banking'\. Wanted some of banking77"):
        read_sets(["banking"], str(data))
    write(data / "banking77" / "train.csv", ("text", "label"), ("where is it", ""))
    with pytest.raises(SetError, match=r"train\.csv, row 1: label is missing or empty"):
        read_sets(["banking77"], str(data))
    (data / "banking77" / "train.csv").unlink()
    with pytest.raises(SetError, match=r"train\.csv could not be read: No such file"):
        read_sets(["banking77"], str(data))


def test_an_intent_that_nothing_teaches_is_refused(data: Path) -> None:
    write(data / "banking77" / "test.csv", ("text", "label"), ("not here", "lost_card"))
    with pytest.raises(SetError, match="'lost_card' has no training text"):
        read_sets(["banking77"], str(data))


def test_a_set_is_written_as_the_trainer_reads_it(data: Path, tmp_path: Path) -> None:
    (clinc,) = read_sets(["clinc150"], str(data))
    write_set(tmp_path / "set" / "texts.jsonl", clinc)
    lines = (tmp_path / "set" / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"part": "train", "text": "play it", "intent": "play_music"}
    assert json.loads(lines[-1]) == {"part": "test", "text": "when", "intent": None}
