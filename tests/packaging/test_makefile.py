"""The make targets: help for each, and four facts where one cannot run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
(PHONY,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)


def make(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A directory that looks to make like an environment with nothing in it."""
    directory = tmp_path / "venv"
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").touch()
    return directory


def test_bare_make_prints_what_there_is() -> None:
    done = make()
    assert done.returncode == 0
    assert done.stdout == make("help").stdout
    for target in PHONY.split():
        assert re.search(rf"^  make {target} +[A-Z]", done.stdout, re.M), target


def test_an_image_without_an_engine_is_refused_with_four_facts() -> None:
    done = make("image", "ENGINE=")
    assert done.returncode == 2
    assert (
        "No image was built: neither docker nor podman answers on this machine. Wanted: one of them, running. "
        "Install or start one, or serve without a container: make serve.\n"
    ) in done.stderr


def test_a_machine_without_a_fit_python_is_told_what_to_install(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    done = make(f"VENV={tmp_path / 'venv'}", "PYTHON=", python)
    assert done.returncode == 2
    assert re.search(
        r"No \.venv was made: found Python 3\.\d+\.\d+\. Wanted: Python 3\.11 or later with its venv module\. "
        r"Install it, or name it: make serve PYTHON=/path/to/python3\.11",
        done.stderr,
    )
    assert not python.exists()


def test_serving_installs_the_serve_group_alone(environment: Path) -> None:
    done = make("--dry-run", "serve", f"VENV={environment}")
    installs = re.findall(r"--group (\w+) --constraint constraints\.txt", done.stdout)
    assert installs == ["serve"]
    assert done.stdout.rstrip().endswith(f"{environment}/bin/python -m serving")


@pytest.mark.parametrize(
    ("target", "group"),
    [("test", "dev"), ("check", "dev"), ("train", "train"), ("report", "evaluate"), ("demo", "workbench")],
)
def test_each_command_installs_its_own_group(target: str, group: str, environment: Path) -> None:
    done = make("--dry-run", target, f"VENV={environment}")
    assert re.findall(r"--group (\w+) ", done.stdout) == [group]


@pytest.mark.parametrize("target", ["serve", "report", "demo", "train", "test", "check"])
def test_an_environment_that_has_everything_is_used_as_it_is(target: str, environment: Path) -> None:
    for group in ("serve", "evaluate", "workbench", "train", "dev"):
        (environment / f".{group}").touch()
    done = make("--dry-run", target, f"VENV={environment}")
    assert done.returncode == 0
    assert "pip" not in done.stdout


def test_a_serving_environment_is_filled_up_when_more_is_asked_of_it(environment: Path) -> None:
    (environment / ".serve").touch()
    done = make("--dry-run", "test", f"VENV={environment}")
    assert re.findall(r"--group (\w+) ", done.stdout) == ["dev"]


def test_a_change_of_pins_installs_anew(environment: Path) -> None:
    (environment / ".serve").touch()
    done = make("--dry-run", "--what-if=constraints.txt", "serve", f"VENV={environment}")
    assert re.findall(r"--group (\w+) ", done.stdout) == ["serve"]


def test_the_last_lines_of_ci_are_those_of_the_tests() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert [line.split()[:2] for line in lines[-2:]] == [["make", "check"], ["make", "test"]]


def test_a_machine_without_a_browser_and_without_the_right_to_install_one_is_told_what_to_do(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "id", "ls"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [ROOT / ".ci" / "chromium"],
        env={"PATH": str(tools), "HOME": str(tmp_path), "PY": str(shutil.which("false"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(
        "The browser tests cannot run: no Chromium was found, and none could be installed. Wanted: the command "
        "`chromium`, or\nCHROMIUM=/path/to/one. On Debian or Ubuntu an administrator types `apt-get install chromium`; "
        'all tests but these run\nwith `.venv/bin/python -m pytest -m "not browser"`.\n'
    )


def run_ci_postgresql(tmp_path: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "id", "ls"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in programs:
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    script = (ROOT / ".ci" / "postgresql").read_text().replace("/usr/lib/postgresql", str(tmp_path))
    return subprocess.run(["bash", "-c", script], env={"PATH": str(tools)}, capture_output=True, text=True, check=False)


def test_a_machine_without_postgresql_and_without_the_right_to_install_it_skips_its_tests(tmp_path: Path) -> None:
    done = run_ci_postgresql(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No PostgreSQL, and no right to install one: the tests that need it are skipped.\n"


def test_a_postgresql_that_is_there_is_left_alone(tmp_path: Path) -> None:
    done = run_ci_postgresql(tmp_path, "initdb")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_browser_that_is_there_is_left_alone(tmp_path: Path) -> None:
    browser = tmp_path / "my-chromium"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "CHROMIUM": str(browser), "PY": "false", "HOME": str(tmp_path)}
    done = subprocess.run([ROOT / ".ci" / "chromium"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
