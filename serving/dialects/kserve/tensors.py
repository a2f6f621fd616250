"""Tensors of the Open Inference Protocol, as JSON and as bytes (its binary tensor data extension).

Bytes are little-endian and row major; a `BYTES` element is its length as 4 bytes and then itself.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Datatype = Literal["BYTES", "FP32", "BOOL"]
Element = str | float | bool
_LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """Bytes that are no tensor. Says what is wrong with them and nothing of what they hold."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor with its elements in row-major order."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    elements: tuple[Element, ...]


def _encoded(element: Element, datatype: Datatype) -> bytes:
    if datatype == "FP32":
        return struct.pack("<f", element)
    if datatype == "BOOL":
        return struct.pack("<?", element)
    content = str(element).encode()
    return _LENGTH.pack(len(content)) + content


def to_bytes(tensor: Tensor) -> bytes:
    """The elements of a tensor as the extension lays them out."""
    return b"".join(_encoded(element, tensor.datatype) for element in tensor.elements)


def _elements(raw: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(raw):
        if len(raw) - start < _LENGTH.size:
            raise TensorError("a length of 4 bytes before every element")
        (length,) = _LENGTH.unpack_from(raw, start)
        start += _LENGTH.size
        if len(raw) - start < length:
            raise TensorError("elements as long as their lengths say")
        yield raw[start : start + length]
        start += length


def texts_of_bytes(raw: bytes) -> list[str]:
    """The elements of a `BYTES` tensor, which must be UTF-8.

    Raises:
        TensorError: when the lengths do not fit the bytes, or an element is not UTF-8.
    """
    try:
        return [element.decode() for element in _elements(raw)]
    except UnicodeDecodeError:
        raise TensorError("elements in UTF-8") from None


def parts_of(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The binary parts of a body, one of each size in bytes, in order.

    Raises:
        TensorError: when they do not fill the body exactly.
    """
    if min(sizes, default=0) < 0 or sum(sizes) != len(body):
        raise TensorError(f"binary data of {sum(sizes)} bytes, the sum of all `binary_data_size`")
    parts, start = [], 0
    for size in sizes:
        parts.append(body[start : start + size])
        start += size
    return parts
