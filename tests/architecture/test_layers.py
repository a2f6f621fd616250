"""The layers of pyproject.toml hold: folders import one way, and what is served is light."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint_imports(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LINT_IMPORTS, "--no-cache", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_every_contract_is_kept() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    done = lint_imports()
    assert done.returncode == 0, done.stdout
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_a_broken_contract_is_told(tmp_path: Path) -> None:
    config = tmp_path / "upside-down.toml"
    config.write_text(
        """
[tool.importlinter]
root_packages = ["data", "models"]
[[tool.importlinter.contracts]]
name = "Upside down"
type = "layers"
layers = ["data", "models"]
"""
    )
    done = lint_imports("--config", str(config))
    assert done.returncode == 1
    assert "models.policy -> data.taxonomy" in done.stdout
