"""The processes that train one network together: each takes a part of every step's posts, and all come to one sum.

`torchrun` starts them, on one machine or several, and tells each its rank. All make the same draws and the same steps
of the same weights; only the forward and backward passes are shared out. The first alone measures, writes and tells.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch

# Imported before a group is made: its functions hold on to the group that stands when it is imported, which torch
# does on its own later. Then the threads of gloo outlive the group and may abort the process as it ends.
import torch.distributed.nn
from torch import Tensor, distributed

from training.errors import WorkLostError

Item = TypeVar("Item")
SILENCE = timedelta(hours=3)
"""How long a rank waits for another. The longest wait is for the first to ask teachers about every post: a network of
110 M took 2 min 21 s for 4,344, so a large corpus takes an hour. One whose connection is gone is not waited for."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world` ones that train together, counted from 0. One alone waits for nobody."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """True for the one that measures, writes and tells."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> tuple[Sequence[Item], float]:
        """This rank's part of the items of a step, and which share of them that is.

        Where there are fewer items than ranks some get the first one with a share of 0: every rank takes every step.
        """
        mine = items[self.rank :: self.world]
        return (mine, len(mine) / len(items)) if mine else (items[:1], 0.0)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Nothing; each of the tensors holds its sum over all ranks.

        Raises:
            WorkLostError: when another rank has gone.
        """
        if self.world == 1:
            return
        flat = torch.cat([each.reshape(-1) for each in tensors])
        self._together(lambda: distributed.all_reduce(flat))
        start = 0
        for each in tensors:
            each.copy_(flat[start : start + each.numel()].view_as(each))
            start += each.numel()

    def take_from_first(self, values: Sequence[float]) -> list[float]:
        """The values that the first rank has.

        Raises:
            WorkLostError: when another rank has gone.
        """
        if self.world == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64)
        self._together(lambda: distributed.broadcast(told, src=0))
        return told.tolist()

    def meet(self) -> None:
        """Nothing; every rank has come here.

        Raises:
            WorkLostError: when another rank has gone.
        """
        if self.world > 1:
            self._together(distributed.barrier)

    def _together(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RuntimeError as error:  # how torch says that a connection is gone, or that nobody came in time
            raise WorkLostError(
                f"Rank {self.rank} of {self.world} waited for the others in vain: {str(error).partition('.')[0]:.200}. "
                "Wanted: all ranks until the end. See what the one that went first says, and give the same command "
                "again: the run goes on from its last checkpoint."
            ) from error


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """This process among those that `torchrun` started with it; alone where it started no other.

    Raises:
        WorkLostError: when they do not find each other.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    try:
        distributed.init_process_group("gloo", timeout=SILENCE)
    except (RuntimeError, ValueError) as error:
        raise WorkLostError(
            f"Rank {os.environ.get('RANK')} of {world} did not find the others: {error!s:.200}. Wanted: RANK, "
            "WORLD_SIZE, MASTER_ADDR and MASTER_PORT as torchrun sets them. Start it by torchrun."
        ) from error
    try:
        yield Ranks(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()
