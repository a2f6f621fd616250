"""How many cores this process may use, by affinity and by the quota of its control group, not by the host; and which
of its threads let others go first."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from threading import get_native_id

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_V1_MOUNTS = ("cpu", "cpu,cpuacct")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _share(quota: str, period: str) -> float | None:
    """Cores that a quota grants, `None` where it grants all (`max` in version 2, -1 in version 1)."""
    try:
        microseconds, every = int(quota), int(period)
    except ValueError:
        return None
    return microseconds / every if microseconds > 0 and every > 0 else None


def _ancestry(group: str) -> list[PurePosixPath]:
    """The group and the groups above it, without the leading slash: a limit on any of them holds."""
    own = PurePosixPath(group.lstrip("/"))
    return [own, *own.parents]


def _shares(root: Path, own_cgroup: Path) -> Iterator[float | None]:
    for line in _read(own_cgroup).splitlines():
        _, controllers, group = line.split(":", 2)
        for path in _ancestry(group):
            if controllers == "":  # version 2, one tree for all: "0::/the/group"
                quota, _, period = _read(root / path / "cpu.max").partition(" ")
                yield _share(quota, period)
            elif "cpu" in controllers.split(","):
                for mount in _V1_MOUNTS:
                    directory = root / mount / path
                    yield _share(_read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us"))


def usable_cores(
    affinity: int | None = None, *, cgroup_root: Path = _CGROUP_ROOT, own_cgroup: Path = _OWN_CGROUP
) -> int:
    """Whole cores that this process may keep busy, at least 1.

    The smallest of the cores it may run on (`affinity`, by default the scheduler's) and the control-group quotas on
    its way to the root, rounded down: what is left of a core serves the event loop.
    """
    granted = [share for share in _shares(cgroup_root, own_cgroup) if share is not None]
    allowed = affinity if affinity is not None else len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(int(share) for share in granted)]))


def step_back(niceness: int) -> None:
    """Nothing; the calling thread lets those of a lower niceness run first (Linux; elsewhere that is a process's)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, get_native_id(), niceness)
