"""Two processes that train one network come to what one comes to, go on where they stopped, and end together."""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.splits import Splits
from data.taxonomy import BUILT_IN
from models.bundle import load_bundle
from tests.training.test_finetune import distance, read_weights, with_settings
from training.errors import WorkLostError
from training.finetune import CHECKPOINT_FILE
from training.history import read_history
from training.members import AVERAGE_FILE, finetune
from training.network import build_network
from training.ranks import ALONE, Ranks, joined_ranks
from training.recipe import Recipe, recipe_toml
from training.runs import run_directory

ROOT = Path(__file__).parents[2]
DIES_IN_THE_SECOND_EPOCH = """
import os, sys
from training.__main__ import main
from training.finetune import Run
take_step = Run.train_on
def train_on(self, batch):
    if self.progress.step == self.steps_per_epoch + 2 and self.ranks.rank == 1:
        os._exit(9)
    take_step(self, batch)
Run.train_on = train_on
sys.exit(main(sys.argv[1:]))
"""
STOPS_EARLY = """
import json, sys
from pathlib import Path
import training.finetune
from training.finetune import Run
from training.members import assist, finetune
from training.runs import read_parts
from training.ranks import joined_ranks
from training.recipe import read_recipe

recipe = read_recipe(Path(sys.argv[1]))
splits = read_parts(recipe)
steps = []
take_step = Run.train_on
def train_on(self, batch):
    take_step(self, batch)
    steps.append(self.progress.step)
Run.train_on = train_on
scores = iter([0.5, 0.6, 0.4, 0.3] * 3)
with joined_ranks() as ranks:
    def measure(network, encoder, examples, *, routed):
        return {"macro_f1": next(scores) if ranks.is_first else 1 / 0, "accuracy": 0.1, "intent_accuracy": 0.2}
    training.finetune.measure = measure
    work = finetune if ranks.is_first else assist
    parts = splits.part("train"), splits.part("development")
    work(recipe, Path(recipe.encoder.directory), *parts, Path(sys.argv[2]), ranks=ranks)
threads = [Path(task, "comm").read_text() for task in Path("/proc/self/task").iterdir()]
print(json.dumps({"steps": steps, "left": sum("gloo" in name for name in threads)}))
"""
SECONDS = 120


@given(items=st.lists(st.integers(), min_size=1, max_size=40), world=st.integers(1, 9))
def test_every_post_of_a_step_is_trained_on_by_one_rank(items: list[int], world: int) -> None:
    parts = [Ranks(rank, world).share(items) for rank in range(world)]
    assert sorted(item for part, share in parts if share for item in part) == sorted(items)
    assert sum(share for _, share in parts) == pytest.approx(1)
    assert all(part for part, _ in parts)


def test_one_alone_waits_for_nobody_and_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_ranks() as ranks:
        assert ranks == ALONE
        ranks.meet()
        assert ranks.share("abc") == ("abc", 1.0)
        assert ranks.take_from_first([2.0]) == [2.0]


def test_ranks_that_were_not_started_by_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(WorkLostError, match=r"did not find the others: .* Start it by torchrun"), joined_ranks():
        pass


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_ranks(script: str, words: Sequence[str]) -> list["subprocess.Popen[str]"]:
    """Two processes with what torchrun tells its own, but nobody who ends one when the other is gone."""
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", script, *words],
            cwd=ROOT,
            env=os.environ | world | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


@pytest.mark.slow
def test_all_ranks_stop_at_the_same_step_because_the_first_alone_measures(
    still: Recipe, splits: Splits, tmp_path: Path
) -> None:
    """The figures rise once and then fall; the second rank would break if it were asked for any of its own."""
    impatient = with_settings(still, members=2, epochs=6, patience_epochs=2, vocabulary="frozen", r_drop=0.5)
    (tmp_path / "mine.toml").write_text(recipe_toml(impatient), encoding="utf-8")
    ranks = start_ranks(STOPS_EARLY, [str(tmp_path / "mine.toml"), str(tmp_path / "state")])
    first, second = (rank.communicate(timeout=SECONDS) for rank in ranks)
    assert [rank.returncode for rank in ranks] == [0, 0], first[1] + second[1]
    an_epoch = math.ceil(len(splits.part("train")) / impatient.finetune.batch_posts)
    # A thread of gloo that is left aborts the process now and then, when all is done.
    done = {"steps": [*range(1, 4 * an_epoch + 1)] * 2, "left": 0}
    assert json.loads(first[0]) == json.loads(second[0]) == done
    for number in range(2):
        assert [each.macro_f1 for each in read_history(tmp_path / "state" / f"member-{number}")] == [0.5, 0.6, 0.4, 0.3]


@pytest.mark.slow
def test_two_ranks_come_to_what_one_comes_to_even_where_one_dies_on_the_way(
    still: Recipe, splits: Splits, tmp_path: Path
) -> None:
    alone = finetune(still, tmp_path / "encoder", splits.part("train"), splits.part("development"), tmp_path / "alone")
    (tmp_path / "mine.toml").write_text(recipe_toml(still), encoding="utf-8")
    words = ["run", "--no-tracking", "--recipe", str(tmp_path / "mine.toml")]
    words += ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]

    first, second = start_ranks(DIES_IN_THE_SECOND_EPOCH, words)
    told, said = first.communicate(timeout=SECONDS)
    second.communicate(timeout=SECONDS)
    assert (first.returncode, second.returncode, told) == (2, 9, "")
    assert "Rank 0 of 2 waited for the others in vain: " in said
    assert "the run goes on from its last checkpoint." in said
    assert "Traceback" not in said
    home = run_directory(still, splits, tmp_path / "runs")
    assert torch.load(home / "member-0" / CHECKPOINT_FILE, weights_only=True)["progress"]["step"] > 0
    assert not (tmp_path / "out").exists()

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "training", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundle"] == str(tmp_path / "out")
    assert load_bundle(tmp_path / "out").metrics["training"]["members"][0]["best_epoch"] == alone.members[0].best_epoch
    together, single = read_weights(home / AVERAGE_FILE), read_weights(alone.weights)
    start = build_network(tmp_path / "encoder", len(BUILT_IN.names), dropout=0.0, seed=still.seed).state_dict()
    apart, moved = distance(together, single), distance(single, start)
    # Sums in another order; 7e-6 where it was measured.
    assert apart < 1e-3 * moved
