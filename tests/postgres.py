"""A PostgreSQL of our own, in a directory of its own on loopback, that can be killed and brought back."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "hunter2"
_WAIT_S = 60.0


class NoPostgresError(RuntimeError):
    """There is none on this machine that could be started; says why."""


def _programs() -> Path:
    """Where `initdb` and its like are: on the path, or where Debian keeps them."""
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)
    for name in (shutil.which("initdb"), *debian):
        if name:
            return Path(name).resolve().parent
    raise NoPostgresError("PostgreSQL is not installed: apt-get install postgresql")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL, made by `running_cluster`."""

    programs: Path
    directory: Path
    port: int

    @property
    def url(self) -> str:
        """The address of its database, password and all."""
        return f"postgresql://journal:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Nothing; has run a program of PostgreSQL, which refuses to be run by root."""
        command = [str(self.programs / program), "-D", str(self.directory / "data"), *arguments]
        other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*other, *command], capture_output=True, text=True, check=False, cwd=self.directory, timeout=_WAIT_S
        )
        if done.returncode:
            raise NoPostgresError(f"{program} failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Nothing; it runs."""
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-l", str(self.directory / "log"), "-o", options)

    def kill(self) -> None:
        """Nothing; it has stopped as in a crash."""
        self.run("pg_ctl", "stop", "-m", "immediate")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster, started; gone with all its data at the end.

    Raises:
        NoPostgresError: when there is none to be had here.
    """
    programs = _programs()
    if os.geteuid() == 0 and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        raise NoPostgresError("PostgreSQL refuses to be run by root, and there is no user postgres")
    directory = Path(tempfile.mkdtemp(prefix="signalbox-", dir="/tmp"))  # a path as short as a socket needs
    directory.chmod(0o777)  # and open to another user
    (directory / "password").write_text(PASSWORD)
    made = Cluster(programs, directory, _free_port())
    try:
        made.run("initdb", "-U", "journal", "-A", "scram-sha-256", "--pwfile", str(directory / "password"), "--no-sync")
        made.start()
        yield made
        made.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
