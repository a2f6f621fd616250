from pathlib import Path

import pytest

from serving.cores import usable_cores


def tree(root: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A control-group tree and the file that says where the process stands in it."""
    own = root / "own"
    own.write_text(cgroup)
    for name, content in files.items():
        path = root / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root / "fs", own


@pytest.mark.parametrize(
    ("cgroup", "files", "affinity", "cores"),
    [
        ("0::/\n", {}, 8, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 8, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 8, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 8, 1),
        ("0::/\n", {"cpu.max": "800000 100000\n"}, 2, 2),
        ("0::/pod/box\n", {"pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "300000 100000\n"}, 8, 3),
        (
            "3:cpu,cpuacct:/pod\n",
            {"cpu/pod/cpu.cfs_quota_us": "400000\n", "cpu/pod/cpu.cfs_period_us": "100000\n"},
            8,
            4,
        ),
        ("3:cpu:/pod\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, 8),
        ("5:memory:/pod\n0::/\n", {"cpu.max": "100000 100000"}, 8, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, 3, 3),
    ],
)
def test_the_smallest_of_affinity_and_quotas_counts(
    tmp_path: Path, cgroup: str, files: dict[str, str], affinity: int, cores: int
) -> None:
    root, own = tree(tmp_path, cgroup, files)
    assert usable_cores(affinity, cgroup_root=root, own_cgroup=own) == cores


def test_a_machine_without_control_groups_has_the_cores_of_its_affinity(tmp_path: Path) -> None:
    assert usable_cores(5, cgroup_root=tmp_path / "none", own_cgroup=tmp_path / "nothing") == 5


def test_this_machine_has_at_least_one_core() -> None:
    assert usable_cores() >= 1
