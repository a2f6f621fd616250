"""What serves is light: proven by an environment in which nothing else is installed."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.conftest import MEGABYTE, ROOT, Environment, run

HEAVY = ("torch", "transformers", "mlflow", "pandas", "sklearn", "scipy", "matplotlib", "datasets", "pyarrow", "onnx")
(UNUSED,) = (line.split() for line in re.findall(r"^UNUSED := (.*)$", (ROOT / "Makefile").read_text(), re.M))
LIMIT_BYTES = 200 * MEGABYTE
"""The design's section 2."""
CORE_OF_DATA = ("post", "taxonomy", "handles", "redaction", "rendering")

SHOW_IMPORTS = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules_of(package: str) -> list[str]:
    return [f"{package}.{path.stem}" for path in sorted((ROOT / package).glob("[!_]*.py"))]


def test_an_environment_that_serves_stays_under_the_limit(
    serving_environment: Environment, record_property: Callable[[str, object], None]
) -> None:
    total = serving_environment.total_bytes
    record_property("serving_environment_bytes", total)
    assert total < LIMIT_BYTES, f"{total / MEGABYTE:.1f} MB; heaviest: {serving_environment.heaviest}"


@pytest.mark.parametrize("name", [*HEAVY, *UNUSED])
def test_nothing_heavy_and_nothing_unused_is_installed(name: str, serving_environment: Environment) -> None:
    installed = {canonicalize_name(package.partition("-")[0]) for package in serving_environment.sizes_bytes}
    assert name not in installed


def test_the_image_leaves_out_what_make_serve_leaves_out_and_the_installer() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    (left_out,) = re.findall(r"pip uninstall --yes (.*)", dockerfile)
    assert left_out.split() == [*UNUSED, "pip"]


def test_the_library_that_onnxruntime_brings_twice_is_there_once(serving_environment: Environment) -> None:
    libraries = [path.name for path in serving_environment.directory.glob("lib/*/site-packages/onnxruntime/capi/*.so*")]
    assert len([name for name in libraries if "pybind11" in name]) == 1
    assert not [name for name in libraries if name.startswith("libonnxruntime.so")]
    (twice,) = re.findall(r"^TWICE := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert f"rm -f /opt/venv/lib/*/site-packages/{twice}" in (ROOT / "Dockerfile").read_text()


def test_all_that_is_served_is_imported_without_anything_heavy(serving_environment: Environment) -> None:
    names = [*(f"data.{name}" for name in CORE_OF_DATA), *modules_of("models"), *modules_of("serving")]
    done = run(serving_environment.python, "-B", "-c", SHOW_IMPORTS, *names)
    imported = json.loads(done.stdout)
    assert {"models", "serving", "onnxruntime", "tokenizers", "fastapi"} <= set(imported)
    assert not set(imported) & {*HEAVY, *(name.replace("-", "_") for name in UNUSED), "yaml", "tests"}


def test_the_tests_of_what_is_served_pass_without_torch(torch_free_environment: Path) -> None:
    assert Path(sys.executable) != torch_free_environment
    paths = ["tests/models", "tests/serving", *(f"tests/data/test_{name}.py" for name in CORE_OF_DATA)]
    options = ("-q", "-p", "no:cacheprovider", "-m", "not browser and not slow")
    done = run(torch_free_environment, "-m", "pytest", *options, *paths)
    last = done.stdout.strip().splitlines()[-1]
    assert " passed" in last
    assert not re.search(r"\b\d+ (?:failed|errors?)\b", last)  # "1 xfailed" is an open shortfall, not a failure
