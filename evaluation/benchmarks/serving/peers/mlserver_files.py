"""Writes MLServer's settings: `python -m evaluation.benchmarks.serving.peers.mlserver_files DIRECTORY PORT`."""

import json
import sys
from pathlib import Path

from evaluation.benchmarks.serving.peers.machine import cores

if __name__ == "__main__":
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    model = {
        "name": "routes",
        "implementation": "evaluation.benchmarks.serving.peers.mlserver_runtime.Routes",
        # Adaptive batching is off, as by default: its window is waited out even by a lone request.
        "max_batch_size": 0,
        "max_batch_time": 0,
    }
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    server = {"host": "127.0.0.1", "parallel_workers": cores(), "debug": False, **ports}
    (directory / "model-settings.json").write_text(json.dumps(model, indent=2) + "\n", encoding="utf-8")
    (directory / "settings.json").write_text(json.dumps(server, indent=2) + "\n", encoding="utf-8")
