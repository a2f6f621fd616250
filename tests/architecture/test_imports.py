"""Nothing happens at import: no file, network, process, thread or log set-up, and nothing is reported home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "models", "evaluation", "serving", "training")
SCRIPTS = ("__init__.py", "__main__.py", "env.py", "pyfunc.py")
"""The last two are run by Alembic and by MLflow, and by nobody else."""
PEERS = {ROOT / "evaluation/benchmarks" / benchmark / "peers" for benchmark in ("serving", "intents")}
"""Programs for environments in which their libraries are."""

IMPORT_ALL = """
import importlib, logging, sys, threading
from pathlib import Path

ROOT, (package, *modules) = Path.cwd(), sys.argv[1:]
WATCHED = {"open", "os.mkdir", "os.remove", "os.rename", "socket.connect", "socket.bind", "subprocess.Popen"}
LIBRARIES = (sys.prefix, sys.base_prefix)
happened = []

def watch(event, arguments):
    # What a library reads of its own files, or does while it is being imported, is its own; the rest is ours.
    if event not in WATCHED or str(arguments[0]).startswith(LIBRARIES):
        return
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith("<frozen importlib"):
        if Path(frame.f_code.co_filename).is_relative_to(ROOT / package):
            happened.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {event} {arguments[0]!r}")
            return
        frame = frame.f_back

handlers, threads = list(logging.getLogger().handlers), threading.active_count()
sys.addaudithook(watch)
for name in (package, *modules):
    importlib.import_module(name)
assert not happened, "\\n".join(happened)
assert logging.getLogger().handlers == handlers, "the root logger was configured"
assert threading.active_count() == threads, "a thread was started"
print(len(modules))
"""


def modules_of(package: str) -> list[str]:
    """Every module of a folder that something of ours imports."""
    paths = sorted(path for path in (ROOT / package).rglob("*.py") if path.name not in SCRIPTS)
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if not PEERS & {*path.parents}]


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_happens_when_all_modules_of_a_folder_are_imported(package: str, tmp_path: Path) -> None:
    home, modules = tmp_path / "home", modules_of(package)
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, package, *modules],
        cwd=ROOT,
        env=kept | {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules) > 0
    assert not list(home.rglob("*")), "something was written into the home directory"
