"""A real `mlflow server` on loopback: a database file and a directory of artifacts behind it, stopped and started."""

import os
import signal
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


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it started in its session, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
            stop_group(self._process)
            self._process = None
