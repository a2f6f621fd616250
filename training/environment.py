"""What a run was made with: the machine, the versions of everything installed, and the commit."""

import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path

import torch


def git_commit() -> str:
    """The commit that is checked out, `+changed` where files differ from it; `unknown` outside a checkout."""

    def git(*words: str) -> str:
        answer = subprocess.run(["git", *words], capture_output=True, text=True, check=True)  # noqa: S603, S607 (git)
        return answer.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changed" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def machine() -> dict[str, str]:
    """What computes: Python, system, processor, cores and memory; never the name of the machine or of its user."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory_gb": f"{memory_bytes / 1e9:.1f}",
        "torch": torch.__version__,
        "torch_threads": str(torch.get_num_threads()),
    }


def installed() -> str:
    """Every installed distribution with its version, one a line as pip reads them, sorted."""
    lines = {f"{each.metadata['Name'].lower().replace('_', '-')}=={each.version}" for each in distributions()}
    return "".join(f"{line}\n" for line in sorted(lines))
