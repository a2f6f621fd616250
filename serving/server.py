"""The HTTP server around the application: how it listens and how it stops.

SIGHUP reads the configured bundle again while the old one answers.

A stop is graceful: at SIGTERM or SIGINT `readyz` turns to 503 and nothing new is accepted, what is in work is
answered, then the port closes and the process ends with 0. A second signal stops at once.
"""

import asyncio
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from serving.changeover import Changeover
from serving.connections import Bounds, protocol_within
from serving.service import Service
from serving.settings import Settings, SettingsError, variable

_BACKLOG_CONNECTIONS = 2048
"""uvicorn's own default."""
SWITCH_INTERVAL_S = 0.0001
"""Python's own is 5 ms: so long a worker with a post could wait for the event loop, or it for a post being read. With
this one a post took 9 to 17 % less time and no more CPU (`docs/decisions/0017`)."""


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        SettingsError: when nothing can listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG_CONNECTIONS)
    except OSError as error:
        number = error.errno or 0  # below zero for a name that is not found
        problem = os.strerror(number) if number > 0 else error.strerror
        raise SettingsError(
            f"The server cannot listen on {settings.host} port {settings.port}: {problem}. Wanted: an "
            f"address of this machine and a free port. Set {variable('host')} or {variable('port')}, or give --port 0 "
            "for any free one."
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; every accepted connection inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.head_timeout_ms)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a listening socket is reached, as `http://127.0.0.1:8000`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


class DrainingServer(uvicorn.Server):
    """A server that finishes what it has accepted. `announce` is called once, when a model answers."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        changeover: Changeover,
        *,
        drain_s: float,
        announce: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service = service
        self._changeover = changeover
        self._reloads: set[asyncio.Task[None]] = set()
        self._drain_ticks = math.ceil(drain_s * 10)  # uvicorn ticks ten times a second
        self._announce: Callable[[], None] | None = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Nothing; listens, and takes SIGHUP from then on. Signals reach the main thread alone."""
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._changeover.reload_configured())
        self._reloads.add(task)  # the loop alone would not keep it
        task.add_done_callback(self._reloads.discard)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Starts to drain at the first signal, stops at the second. Not raised again: a stop is no failure."""
        if self._service.state == "draining":
            self.should_exit = self.force_exit = True
        self._service.drain()

    async def on_tick(self, counter: int) -> bool:
        """True when it is time to end: failed, or drained."""
        if self._announce is not None and self._service.state == "ready":
            self._announce()
            self._announce = None
        if self._service.state == "draining":
            self._drain_ticks -= 1
            if self._drain_ticks < 0 and self._service.posts_in_work == 0:
                return True
        return await super().on_tick(counter) or self._service.state == "failed"


@contextmanager
def quick_switches() -> Iterator[None]:
    """Nothing; within, a thread that has work waits for the interpreter at most `SWITCH_INTERVAL_S`."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


def serve(app: FastAPI, settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> str:
    """Why the model did not start, empty where it did; returns when the server has stopped."""
    service: Service = app.state.service
    bounds = Bounds(app.state.metrics, app.state.door, settings.head_timeout_ms / 1_000, settings.max_connections)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol_within(bounds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Nothing runs longer than the deadline; what still hangs a second later is a connection, not a request.
        timeout_graceful_shutdown=math.ceil(settings.request_timeout_ms / 1_000) + 1,
    )
    server = DrainingServer(config, service, app.state.changeover, drain_s=settings.drain_ms / 1_000, announce=announce)
    with quick_switches():
        server.run(sockets=[listener])
    return service.failure
