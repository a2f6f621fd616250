"""The outbox: whatever happens on the way, every word is said once, in order, or is still there."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.tracking.outbox import WORDS_FILE, Outbox, RefusedError, UnreachableError, Word


class Listener:
    """Hears words; `fate` says of each call whether it is heard, refused, or meets nobody."""

    def __init__(self, fate: list[str]) -> None:
        self.fate, self.heard = fate, list[int]()

    def __call__(self, word: Word) -> None:
        met = self.fate.pop(0) if self.fate else "heard"
        if met == "refused":
            raise RefusedError("no")
        if met == "nobody":
            raise UnreachableError("silence")
        self.heard.append(word["number"])


@given(
    fate=st.lists(st.sampled_from(["heard", "refused", "nobody"]), max_size=12),
    sittings=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_every_word_is_said_once_and_in_order_or_waits(
    fate: list[str], sittings: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory, listener, said = tmp_path_factory.mktemp("outbox"), Listener(list(fate)), 0
    for words in sittings:
        outbox = Outbox(directory)  # what a process finds that was started anew
        for _ in range(words):
            outbox.add({"kind": "number", "number": said})
            said += 1
            outbox.deliver(listener)
    assert sorted({*listener.heard}) == sorted(listener.heard)
    waiting = len(Outbox(directory))
    assert waiting == said - len(listener.heard)
    while len(Outbox(directory)):
        Outbox(directory).deliver(listener)
    assert sorted(listener.heard) == list(range(said))
    if "refused" not in fate:
        assert listener.heard == list(range(said))


def test_a_delivery_counts_what_it_did_and_says_why_it_stopped(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(4):
        outbox.add({"kind": "number", "number": number})
    done = outbox.deliver(Listener(["heard", "refused", "nobody"]))
    assert (done.delivered, done.stopped, done.refused) == (1, "silence", ("no",))
    assert [json.loads(line)["number"] for line in (tmp_path / WORDS_FILE).read_text().splitlines()] == [1, 2, 3]


def test_files_of_a_waiting_word_are_kept_as_they_were(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model").write_text("first")
    outbox = Outbox(tmp_path / "home")
    outbox.add({"kind": "files", "path": str(bundle), "to": "bundle", "name": "bundle"})
    outbox.secure()
    (bundle / "model").write_text("second")
    told: list[str] = []
    Outbox(tmp_path / "home").deliver(lambda word: told.append((Path(word["path"]) / "model").read_text()))
    assert told == ["first"]
    assert list((tmp_path / "home").iterdir()) == []


def test_words_of_a_kind_are_dropped(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add({"kind": "end", "status": "FAILED"})
    outbox.add({"kind": "number", "number": 1})
    outbox.drop("end")
    assert len(Outbox(tmp_path)) == 1
