"""OpenVINO in the place of onnxruntime: a session that runs the same graph files, to be measured on the plane.

The one door to the optional package (group `openvino`); nothing that ships or serves passes it. Its telemetry reports
every import to its maker and leaves a device identifier in the home directory; it is kept from loading here.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data.dependencies import needs_group
from models.classifier import FloatArray, IntArray, OpenSession, Session

Precision = Literal["f32", "bf16"]


class OpenVinoSession:
    """Runs one graph on OpenVINO's CPU plugin. Safe to share between threads: each has a request of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._requests = threading.local()

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, IntArray]) -> list[FloatArray]:
        """The named outputs for the named inputs."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        request = self._requests.own
        request.infer(dict(input_feed))
        return [np.array(request.get_tensor(name).data, dtype=np.float32) for name in output_names]


def opener(precision: Precision, runs_at_once: int) -> OpenSession:
    """What opens a session that computes in `precision`, each of so many runs at once with the threads it is given.

    Raises:
        MissingGroupError: when OpenVINO is not installed.
    """
    with needs_group("openvino", "Measuring OpenVINO"):
        # `None` is how the import system is told that a module is not there; openvino then takes its own empty one.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # typeshed knows no None here
        import openvino

    def open_graph(graph: Path, threads: int) -> Session:
        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads * runs_at_once,
            "NUM_STREAMS": runs_at_once,
            "ENABLE_CPU_PINNING": False,  # onnxruntime pins nothing either
            "INFERENCE_PRECISION_HINT": precision,  # left to itself it takes bf16 where the processor has it
        }
        return OpenVinoSession(core.compile_model(core.read_model(str(graph)), "CPU", settings))

    return open_graph
