"""The tiny classifier, made once for all tests of `models`."""

from pathlib import Path

import pytest

from models.bundle import Reading
from models.classifier import Classifier
from tests.models.tiny_model import write_tiny_model, write_tiny_tokenizer

READING = Reading(window_tokens=32, overlap_tokens=4, context_tokens=10, max_windows=3)


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The paths of the graph and of the tokenizer."""
    directory = tmp_path_factory.mktemp("tiny")
    model, tokenizer = directory / "model.onnx", directory / "tokenizer.json"
    write_tiny_model(model)
    write_tiny_tokenizer(tokenizer)
    return model, tokenizer


@pytest.fixture(scope="session")
def tiny(tiny_files: tuple[Path, Path]) -> Classifier:
    """A classifier that reads windows of 32 tokens, 10 of them context, three at most."""
    return Classifier(*tiny_files, READING)
