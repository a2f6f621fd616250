"""The image without a container engine: what the Dockerfile says, and its own steps run in a scratch directory.

`/opt/venv` and the working directory are mapped to scratch paths; every `RUN`, `COPY`, `ENV`, `HEALTHCHECK`,
`ENTRYPOINT` and `CMD` is the Dockerfile's, word for word.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from serving.wire import EXAMPLE_POST
from tests.packaging.conftest import MEGABYTE, ROOT, made_once, measured, run
from tests.packaging.test_serving_environment import LIMIT_BYTES

START_S, STOP_S = 60, 15
"""Far above what was measured (3 s and under 1 s): a shared machine may be slow, a test may not hang."""


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    text: str


def read_dockerfile() -> tuple[list[Instruction], list[Instruction]]:
    """The instructions of the stage that builds and of the one that runs."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    instructions = [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]
    (_, second) = [place for place, instruction in enumerate(instructions) if instruction.name == "FROM"]
    return instructions[:second], instructions[second:]


BUILD, FINAL = read_dockerfile()


def texts(stage: list[Instruction], name: str) -> list[str]:
    return [instruction.text for instruction in stage if instruction.name == name]


def final(name: str) -> str:
    (text,) = texts(FINAL, name)
    return text


def final_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for text in texts(FINAL, "ENV") for pair in text.split())


def test_the_image_has_two_stages_on_the_slim_python() -> None:
    assert texts(BUILD, "FROM") == ["python:3.11-slim AS build"]
    assert texts(FINAL, "FROM") == ["python:3.11-slim"]


def test_the_image_installs_the_serve_group_alone_and_only_while_it_is_built() -> None:
    assert re.findall(r"--group (\w+)", " ".join(texts(BUILD, "RUN"))) == ["serve"]
    assert not texts(FINAL, "RUN")


def test_the_server_in_the_image_is_not_root() -> None:
    user, _, group = final("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_image_writes_no_bytecode_and_buffers_no_log() -> None:
    environment = final_environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == environment["PYTHONUNBUFFERED"] == "1"
    assert not texts(FINAL, "VOLUME")


def test_the_image_stops_by_sigterm_and_asks_itself_whether_a_model_answers() -> None:
    assert final("STOPSIGNAL") == "SIGTERM"
    assert "/readyz" in final("HEALTHCHECK")
    assert json.loads(final("ENTRYPOINT")) == ["python", "-m", "serving"]
    assert final("EXPOSE") == final_environment()["SIGNALBOX_PORT"]


def _ignored(path: Path) -> bool:
    """Whether .dockerignore keeps a path out of the build: the last line that fits decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parents = [str(path), *map(str, path.parents)]
        fits = any(fnmatch(parent, pattern) for parent in parents) or (
            "**/" in line and any(fnmatch(part, pattern) for part in path.parts)
        )
        if line and not line.startswith("#") and fits:
            ignored = not line.startswith("!")
    return ignored


def _context() -> list[Path]:
    """The files that the build may see, relative to the root."""
    files = [path.relative_to(ROOT) for name in ("data", "models", "serving") for path in (ROOT / name).rglob("*")]
    files += [path.relative_to(ROOT) for path in ROOT.iterdir()]
    return [path for path in files if (ROOT / path).is_file() and not _ignored(path)]


def test_the_build_sees_what_is_served_and_nothing_else() -> None:
    context = set(map(str, _context()))
    assert {"pyproject.toml", "constraints.txt", "data/post.py", "models/policy.py", "serving/app.py"} <= context
    assert not [path for path in context if "__pycache__" in path or path.startswith(("data/corpus", "tests"))]
    assert {Path(path).parts[0] for path in context} == {
        "pyproject.toml",
        "constraints.txt",
        "data",
        "models",
        "serving",
    }


def _copy(text: str, workdir: Path) -> None:
    """Does what `COPY` does with paths of the context."""
    *sources, target = text.split()
    for path in _context():
        for source in sources:
            inside = path.is_relative_to(source)
            if inside or fnmatch(str(path), source):
                to = workdir / target / (path.relative_to(source) if inside and path != Path(source) else path.name)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, to)


def _run(text: str, workdir: Path, venv: Path) -> None:
    command = text.replace("/opt/venv", str(venv)).replace("python -m venv", f"{sys.executable} -m venv")
    workdir.mkdir(parents=True, exist_ok=True)
    run("sh", "-euc", command, cwd=workdir, PYTHONDONTWRITEBYTECODE="")


def _steps(stage: list[Instruction], venv: Path, workdir: Path) -> None:
    for instruction in stage:
        if instruction.name == "RUN":
            _run(instruction.text, workdir, venv)
        elif instruction.name == "COPY":
            _copy(instruction.text, workdir)


APPLICATION = next(place for place, step in enumerate(BUILD) if step == Instruction("COPY", "data/*.py data/"))
"""The first step of the build that copies the application: what stands before it changes with the pins alone."""


@dataclass(frozen=True, slots=True)
class Image:
    venv: Path
    workdir: Path

    def environment(self, **more: str) -> dict[str, str]:
        values = {name: value.replace("/opt/venv", str(self.venv)) for name, value in final_environment().items()}
        return {name: value.replace("$PATH", os.environ["PATH"]) for name, value in values.items()} | more

    def files(self) -> dict[Path, float]:
        """When each file in the image was written last."""
        return {path: path.lstat().st_mtime for top in (self.venv, self.workdir) for path in top.rglob("*")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The built image: installed once for each set of pins, the application copied in anew and set read-only."""

    def install(directory: Path) -> None:
        _steps(BUILD[:APPLICATION], directory / "venv", directory / "workdir")

    made_from = ("pyproject.toml", "constraints.txt", "Dockerfile", "tests/packaging/test_image.py")
    venv = made_once("image", made_from, install) / "venv"
    workdir = tmp_path_factory.mktemp("image") / "signalbox"
    _steps(BUILD[APPLICATION:], venv, workdir)
    for path in (workdir, *workdir.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return Image(venv, workdir)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Started:
    process: "subprocess.Popen[str]"
    port: int
    key: str
    environment: dict[str, str]

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        request = urllib.request.Request(  # only ever this machine
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {self.key}"},
        )
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return answer.status, json.load(answer)


def _command() -> list[str]:
    return [*json.loads(final("ENTRYPOINT")), *json.loads(final("CMD"))]


@pytest.fixture
def started(image: Image, tmp_path: Path) -> Iterator[Started]:
    """The image's command in the image's environment, with a keys file as the Dockerfile's head says."""
    python = image.venv / "bin" / "python"
    made = json.loads(
        run(python, "-m", "serving", "hash-key", "--name", "test", cwd=image.workdir).stdout.splitlines()[-1]
    )
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [made["entry"]]}))
    port = _free_port()
    home = tmp_path / "home"
    home.mkdir()
    environment = image.environment(
        SIGNALBOX_API_KEYS_FILE=str(keys), SIGNALBOX_PORT=str(port), HOME=str(home), TMPDIR=str(home)
    )
    process = subprocess.Popen(
        _command(), cwd=image.workdir, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield Started(process, port, made["key"], environment)
    finally:
        process.kill()
        process.communicate()


def _wait_until_ready(started: Started) -> None:
    """Blocks on the line that the server prints when a model answers."""
    assert started.process.stdout is not None
    line = started.process.stdout.readline()
    assert json.loads(line)["address"].endswith(f":{started.port}")


def test_the_image_serves_from_files_that_nobody_can_write(image: Image, started: Started) -> None:
    before = image.files()
    _wait_until_ready(started)
    assert started.ask("/readyz")[0] == 200
    status, answer = started.ask("/v1/predict", EXAMPLE_POST)
    assert status == 200
    assert answer["id"] == "1059"
    assert set(answer) == {"id", "prediction_id", "route", "intent", "decision", "due", "truncated", "versions"}

    health = json.loads(final("HEALTHCHECK").partition(" CMD ")[2])
    assert subprocess.run(health, env=started.environment, check=False, timeout=START_S).returncode == 0

    asked_at = time.monotonic()
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(timeout=STOP_S) == 0
    assert time.monotonic() - asked_at < STOP_S
    assert image.files() == before
    assert not list(Path(started.environment["HOME"]).iterdir())


def test_the_health_check_fails_where_nothing_answers(image: Image) -> None:
    health = json.loads(final("HEALTHCHECK").partition(" CMD ")[2])
    environment = image.environment(SIGNALBOX_PORT=str(_free_port()))
    done = subprocess.run(health, env=environment, capture_output=True, check=False, timeout=START_S)
    assert done.returncode == 1


def test_the_image_refuses_to_serve_everybody_without_a_keys_file(image: Image) -> None:
    done = subprocess.run(
        _command(),
        cwd=image.workdir,
        env=image.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
    )
    assert done.returncode == 2
    assert "SIGNALBOX_API_KEYS_FILE" in done.stderr


def test_the_image_holds_no_installer_and_stays_under_the_limit_with_its_bytecode(image: Image) -> None:
    environment = measured(image.venv)
    assert not {"pip", "setuptools", "huggingface_hub", "hf_xet"} & set(environment.sizes_bytes)
    assert list(image.venv.glob("lib/*/site-packages/onnxruntime/__pycache__"))
    assert environment.total_bytes < LIMIT_BYTES, f"{environment.total_bytes / MEGABYTE:.1f} MB"
