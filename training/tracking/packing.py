"""A verified bundle as a directory that MLflow can load anywhere: code, bundle, requirements, signature, example.

What goes in is our source and the bundle's files, never a pickle, and of our modules only those that the model imports.
"""

import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from modulefinder import ModuleFinder
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.bundle import Bundle
from models.rows import INPUT_COLUMNS, OUTPUT_COLUMNS

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("pyfunc.py")
BUNDLE_ARTIFACT = "bundle"
REQUIREMENTS = (
    "alembic",
    "emoji",
    "mlflow-skinny",
    "numpy",
    "onnxruntime",
    "pandas",
    "phonenumberslite",
    "py3langid",
    "pydantic",
    "python-stdnum",
    "sqlalchemy",
    "tokenizers",
)
"""What the model imports that is not ours; `mlflow-skinny`, which loads and serves without the parts that train; and
what that needs to find a model in a database file by its alias (`alembic`, `sqlalchemy`)."""
EXAMPLE = (
    {"text": "where do I track my parcel?", "platform": "x", "author.followers": 212},
    {"text": "third week without heating and my baby is ill", "platform": "facebook", "author.followers": None},
)


def requirements() -> list[str]:
    """Every requirement at the version that is installed here, and the pins of all that they lead to."""
    pinned = [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]
    return [*pinned, f"-c {ROOT / 'constraints.txt'}"]


def modules_needed(script: Path = SCRIPT) -> list[Path]:
    """The files of ours that a script imports, directly or not, sorted; read from the code, nothing is run."""
    finder = ModuleFinder(path=[str(ROOT)])
    finder.run_script(str(script))
    found: Mapping[str, Any] = finder.modules
    return sorted({Path(each.__file__) for each in found.values() if each.__file__} - {script})


def _copy_code(to: Path) -> Iterator[str]:
    """The directories, one for each package, into which the modules that the model needs were copied."""
    for file in modules_needed():
        copy = to / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    yield from sorted(str(package) for package in to.iterdir())


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    kinds = {str: DataType.string, float: DataType.double, bool: DataType.boolean}
    # Only `text` has a type: MLflow refuses a column of numbers with an empty cell among them, whole or not, and here
    # an empty cell means that a fact is not known. The model checks every cell itself.
    unchecked: Any = AnyType
    asked: list[Any] = [
        ColSpec(DataType.string, name) if name == "text" else ColSpec(unchecked(), name, required=False)
        for name in INPUT_COLUMNS
    ]
    answered: list[Any] = [ColSpec(kinds[kind], name) for name, kind in OUTPUT_COLUMNS.items()]
    return ModelSignature(Schema(asked), Schema(answered))


def pack(bundle: Bundle, directory: Path, *, about: Any) -> None:
    """Nothing; `directory`, which must not exist, holds the model. `about` is the `mlflow.models.Model` to describe."""
    import pandas as pd
    from mlflow import pyfunc

    with TemporaryDirectory() as scratch:
        content = Path(scratch) / BUNDLE_ARTIFACT  # MLflow keeps an artifact under the name of its directory
        shutil.copytree(bundle.directory, content)
        pyfunc.save_model(
            directory,
            mlflow_model=about,
            python_model=str(SCRIPT),
            artifacts={BUNDLE_ARTIFACT: str(content)},
            code_paths=list(_copy_code(Path(scratch) / "code")),
            pip_requirements=requirements(),
            signature=_signature(),
            input_example=pd.DataFrame(EXAMPLE),
        )
