"""The server as a process of its own: how it starts, listens and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest
from httpx2 import Client, Response

from serving.server import SWITCH_INTERVAL_S, address_of, listen, quick_switches
from serving.settings import Settings, SettingsError
from tests.serving.clients import PATIENT_MS, WAIT_S
from tests.serving.gates import GATE_WORD

Process = subprocess.Popen[str]


@contextmanager
def gated_server(**variables: str) -> Iterator[tuple[Process, Client]]:
    """A running gated server and a client of it. Whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.serving.gated_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SIGNALBOX_REQUEST_TIMEOUT_MS": str(PATIENT_MS), **variables},
    )
    try:
        with Client(base_url=heard(process)["address"], timeout=WAIT_S) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def heard(process: Process) -> Any:
    """The next line that the process says on stdout."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else "it ended"
    return json.loads(line)


def open_gate(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_stop_answers_what_is_in_flight_refuses_what_is_new_and_ends_well() -> None:
    with gated_server() as (process, client), ThreadPoolExecutor(1) as pool:
        assert client.get("/readyz").status_code == 200
        in_flight: Any = pool.submit(client.post, "/v1/predict", json={"text": f"parcel {GATE_WORD}"})
        assert heard(process) == {"entered": True}

        process.send_signal(signal.SIGTERM)
        assert client.get("/readyz").status_code == 503
        refused = client.post("/v1/predict", json={"text": "parcel"})
        assert refused.status_code == 503
        assert refused.json()["fallback"] == {"action": "agent"}
        assert client.get("/healthz").status_code == 200
        assert process.poll() is None

        open_gate(process)
        answered: Response = in_flight.result(WAIT_S)
        assert answered.status_code == 200
        assert answered.json()["route"]["label"] == "simple"
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_second_signal_does_not_wait_for_what_is_in_flight() -> None:
    with gated_server() as (process, client), ThreadPoolExecutor(1) as pool:
        in_flight: Any = pool.submit(client.post, "/v1/predict", json={"text": GATE_WORD})
        assert heard(process) == {"entered": True}
        process.send_signal(signal.SIGTERM)
        assert client.get("/readyz").status_code == 503
        process.send_signal(signal.SIGTERM)
        cut_off: Response = in_flight.result(WAIT_S)
        assert cut_off.status_code == 503
        assert cut_off.json()["fallback"] == {"action": "agent"}
        assert process.poll() is None  # the thread at the gate is the one thing that is waited for
        open_gate(process)
        assert process.wait(WAIT_S) == 0


def test_the_server_says_neither_what_it_runs_on_nor_more_than_json(serving_address: str) -> None:
    with Client(base_url=serving_address) as client:
        headers = client.post("/v1/predict", json={"text": "thanks"}).headers
        assert set(headers) == {"date", "content-length", "content-type", "x-request-id", "server-timing"}


def exchange(address: str, request: bytes) -> bytes:
    """What the server answers to bytes, read until it closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
        return b"".join(parts)


def test_bytes_that_are_not_http_are_refused_in_the_one_shape(serving_address: str) -> None:
    head, body = exchange(serving_address, b"xylophone\r\n\r\n").split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    answer = json.loads(body)
    assert answer["error"]["code"] == "bad_http"
    assert answer["fallback"] == {"action": "agent"}
    assert b"xylophone" not in body


def test_a_body_in_chunks_without_a_length_is_read(serving_address: str) -> None:
    request = (
        b"POST /v1/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b'transfer-encoding: chunked\r\n\r\n8\r\n{"text":\r\n9\r\n"thanks"}\r\n0\r\n\r\n'
    )
    assert exchange(serving_address, request).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_in_chunks_that_never_ends_is_refused_at_the_limit(serving_address: str) -> None:
    request = (
        b"POST /v1/predict HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"transfer-encoding: chunked\r\n\r\n" + 33 * (b"10000\r\n" + b" " * 65_536 + b"\r\n")
    )
    assert exchange(serving_address, request).startswith(b"HTTP/1.1 413 ")


def test_a_port_that_is_taken_is_refused_with_the_remedy() -> None:
    with listen(Settings(port=0)) as taken:
        port = int(address_of(taken).rpartition(":")[2])
        with pytest.raises(SettingsError) as refused:
            listen(Settings(port=port))
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use." in str(refused.value)
    assert "--port 0" in str(refused.value)


def test_an_address_of_the_sixth_internet_protocol_is_said_in_brackets() -> None:
    class Listener:
        family = socket.AF_INET6

        def getsockname(self) -> tuple[str, int, int, int]:
            return ("::1", 8000, 0, 0)

    assert address_of(cast(socket.socket, Listener())) == "http://[::1]:8000"


def test_while_it_serves_no_thread_waits_long_for_the_interpreter() -> None:
    before_s = sys.getswitchinterval()
    with quick_switches():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S, abs=2e-6)  # it keeps whole microseconds
    assert sys.getswitchinterval() == pytest.approx(before_s, abs=2e-6)
