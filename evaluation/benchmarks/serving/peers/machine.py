"""What a peer's program is told of where it runs: the bundle, and how many cores there are. Imports nothing heavy."""

import os
from pathlib import Path

BUNDLE = "BENCHMARK_BUNDLE"
"""The variable that names the directory of model.onnx and tokenizer.json."""


def bundle() -> Path:
    """The directory of the graph and the tokenizer."""
    return Path(os.environ[BUNDLE])


def cores() -> int:
    """Cores that this process may use: as many workers keep them busy."""
    return len(os.sched_getaffinity(0))
