"""What holds for every test: no network beyond this machine, and the same hypothesis examples in every CI run."""

import os
import sys
from ipaddress import ip_address

from hypothesis import settings

settings.register_profile("signalbox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("signalbox")


def _is_loopback(host: object) -> bool:
    try:
        return host == "localhost" or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(address[0]):
        raise RuntimeError(f"A test tried to reach {address[0]}: tests use loopback alone. Give it a fake instead.")


sys.addaudithook(_refuse_network)
