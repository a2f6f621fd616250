"""The history of members: written whole, read while it grows, each epoch told once and in time."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from data.progress import unwatched
from data.splits import Splits
from training.history import Epoch, Follower, read_history, write_history
from training.members import finetune
from training.recipe import Recipe

Item = TypeVar("Item")


def epochs(count: int) -> list[Epoch]:
    return [Epoch(number, 1 / number, 0.5, 0.6, 0.7, 10.0 * number) for number in range(1, count + 1)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ()
    write_history(epochs(3), tmp_path)
    assert read_history(tmp_path) == tuple(epochs(3))
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]


def test_every_epoch_of_every_member_is_told_once_while_the_work_goes_on(tmp_path: Path) -> None:
    homes = [tmp_path / "0", tmp_path / "1"]
    told: list[tuple[int, int]] = []
    follower = Follower(homes, lambda number, epoch: told.append((number, epoch.epoch)))

    def work(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for step, item in enumerate(items):
            home = homes[step % 2]  # as processes of their own would, one after the other
            home.mkdir(exist_ok=True)
            write_history(epochs(1 + step // 2), home)
            yield item

    seen = [len(told) for _ in follower.watching(work)(range(6), "training")]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert told == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    follower.look()
    assert len(told) == 6


def test_a_new_sitting_tells_the_epochs_of_the_earlier_ones_first(tmp_path: Path) -> None:
    write_history(epochs(2), tmp_path)
    told: list[int] = []
    follower = Follower([tmp_path], lambda _, epoch: told.append(epoch.epoch))
    assert list(follower.watching(unwatched)(range(1), "training")) == [0]
    assert told == [1, 2]


def test_fine_tuning_tells_each_epoch_before_the_next_one_ends(
    recipe: Recipe, encoder: Path, splits: Splits, tmp_path: Path
) -> None:
    settings = recipe.finetune.model_copy(update={"members": 2, "epochs": 2, "batch_posts": 12})
    told: list[tuple[int, int]] = []
    known: list[int] = []

    def watch(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for item in items:
            known.append(len(told))
            yield item

    made = finetune(
        recipe.model_copy(update={"finetune": settings}),
        encoder,
        splits.part("train")[:24],
        splits.part("development")[:12],
        tmp_path,
        watch=watch,
        tell=lambda number, epoch: told.append((number, epoch.epoch)),
    )
    assert told == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert set(known) >= {0, 1, 2, 3}
    assert [read_history(tmp_path / f"member-{number}") for number in range(2)] == [
        each.history for each in made.members
    ]
