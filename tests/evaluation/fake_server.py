"""A server to measure: `python fake_server.py PORT [--child] [--pids FILE]` answers every POST with a label.

With `--child` it first starts a process that leaves its session, as some servers do. GET, and FILE, tell the pids.
"""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIDS: list[int] = []
SLEEPER = "import signal; signal.pause()"


class Handler(BaseHTTPRequestHandler):
    """Answers with keep-alive, as real servers do; a body that says `refuse` is refused."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """The pids."""
        self._answer(200, PIDS)

    def do_POST(self) -> None:
        """A label, or a refusal."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(429 if b"refuse" in body else 200, {"label": "simple"})

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    PIDS.append(os.getpid())
    if "--child" in sys.argv:
        child = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
        PIDS.append(child.pid)
    if "--pids" in sys.argv:
        Path(sys.argv[-1]).write_text(json.dumps(PIDS))
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.serve_forever()
