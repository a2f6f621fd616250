"""A real `mlflow server` on loopback: a database file and a directory of artifacts behind it, stopped and started."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

START_S = 120
"""It takes five seconds; a machine that trains beside it may take many more."""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Nothing, once `url` answers."""
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)


class MlflowServer:
    """The server, with everything that it keeps in `directory`; always on the same port."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._port = directory, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        log = self._directory / "server.log"
        keeps = ("--backend-store-uri", f"sqlite:///{self._directory / 'server.db'}")
        files = ("--serve-artifacts", "--artifacts-destination", str(self._directory / "artifacts"))
        where = ("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1")
        with log.open("ab") as told:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *keeps, *files, *where],
                cwd=self._directory,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=told,
                stderr=told,
                start_new_session=True,
            )
        wait_for(f"{self.uri}/health", self._process, log)

    def stop(self) -> None:
        """Ends it and the workers that it started, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None
