"""A server asked byte by byte, as no client library would."""

import socket

from tests.serving.clients import WAIT_S


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def count_of(address: str, name: str) -> float:
    """A metric of the server, asked on a connection of its own."""
    with connect(address) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        text = rest_of(connection).decode()
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"{name} is not there")
