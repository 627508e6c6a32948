"""TFRecord files without TensorFlow: the framing with its checksums, and tf.Example in the protobuf wire format.

    record = length u64 | mask(crc(length)) u32 | data | mask(crc(data)) u32     little endian, crc is CRC32C
    mask(c) = (rotate_right(c, 15) + 0xa282ead8) mod 2^32

Source: TensorFlow, "TFRecord and tf.train.Example" and example.proto, feature.proto; Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError

Feature = list[bytes] | NDArray[np.int64] | NDArray[np.float32]
Span = tuple[int, int]
"""First byte and the byte after the last, within a buffer."""

MASK_DELTA = 0xA282EAD8
HEADER, FOOTER = 12, 4
LONGEST_VARINT = 10
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; 3 and 4 (groups) occur in no tf.Example."""
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
"""Field numbers of the three kinds of list in a Feature."""


class WireError(ValueError):
    """Bytes that are no protobuf message of the kind expected; knows where."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset, self.problem = offset, problem


def damaged(path: Path, offset: int, problem: str) -> UserError:
    """The error for a file that is not as written: names the file, the byte and the way out."""
    return UserError(f"{path}: byte {offset}: {problem}; the file is damaged: remove it and fetch it again")


def masked_crc(data: bytes) -> int:
    """The checksum as TFRecord stores it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def record_spans(buffer: bytes, path: Path) -> list[Span]:
    """Where the data of each record lies in a whole file, every checksum checked.

    Args:
        buffer: the file's bytes.
        path: its name, for errors.

    Raises:
        UserError: a record is cut off, or a checksum is wrong; names file and byte offset.
    """
    spans, at, size = [], 0, len(buffer)
    while at < size:
        if size - at < HEADER:
            raise damaged(path, at, f"a record's header is cut off after {size - at} of {HEADER} bytes")
        length, length_crc = struct.unpack_from("<QI", buffer, at)
        if masked_crc(buffer[at : at + 8]) != length_crc:
            raise damaged(path, at, "wrong checksum of a record's length")
        start, end = at + HEADER, at + HEADER + length
        if end > size:  # Compared before anything is sliced or allocated: a length may be 2^60.
            raise damaged(path, at, f"a record of {length} bytes is cut off after {size - start}")
        if end + FOOTER > size:
            raise damaged(path, end, f"a record's checksum is cut off after {size - end} of {FOOTER} bytes")
        if masked_crc(buffer[start:end]) != int.from_bytes(buffer[end : end + FOOTER], "little"):
            raise damaged(path, start, "wrong checksum of a record's data")
        spans.append((start, end))
        at = end + FOOTER
    return spans


def parse_example(buffer: bytes, span: Span) -> dict[str, Feature]:
    """The features of one tf.Example: any order, lists packed or not, unknown fields skipped.

    As protobuf asks: of a name that occurs twice the last counts, and parts of one message are merged.

    Raises:
        WireError: the bytes are no tf.Example.
    """
    found: dict[str, Feature] = {}
    for features in messages(buffer, span, 1):
        for entry in messages(buffer, features, 1):
            name, feature = _entry(buffer, entry)
            found[name] = feature
    return found


def varints(data: bytes) -> NDArray[np.int64]:
    """All varints in the bytes, as int64.

    Raises:
        WireError: the last one is cut off, or one is longer than 10 bytes; the offset is within `data`.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    last = np.flatnonzero(octets < 128)
    if len(octets) and (not len(last) or last[-1] != len(octets) - 1):
        raise WireError(len(octets), "a number is cut off")
    first = np.concatenate([np.zeros(min(1, len(last)), dtype=np.int64), last[:-1] + 1])
    lengths = last - first + 1
    longest = int(lengths.max(initial=0))
    if longest > LONGEST_VARINT:
        raise WireError(int(first[lengths.argmax()]), f"a number of {longest} bytes")
    values = np.zeros(len(last), dtype=np.uint64)
    for step in range(longest):
        here = lengths > step
        values[here] |= (octets[first[here] + step] & np.uint64(127)).astype(np.uint64) << np.uint64(7 * step)
    return values.view(np.int64)


def _entry(buffer: bytes, span: Span) -> tuple[str, Feature]:
    """One entry of the map: key = 1, value = 2."""
    name, value = b"", []
    for number, wire, start, end in _fields(buffer, span):
        if number in (1, 2) and wire != BYTES:
            raise WireError(start, f"a feature's {'name' if number == 1 else 'value'} has wire type {wire}")
        if number == 1:
            name = buffer[start:end]
        elif number == 2:
            value.append((start, end))
    try:
        return name.decode(), _feature(buffer, value)
    except UnicodeDecodeError as error:
        raise WireError(span[0], "a feature's name is not UTF-8") from error


def _feature(buffer: bytes, parts: list[Span]) -> Feature:
    """The list of a Feature; of several kinds the last counts."""
    kind, lists = 0, list[Span]()
    for part in parts:
        for number, wire, start, end in _fields(buffer, part):
            if number not in (BYTES_LIST, FLOAT_LIST, INT64_LIST):
                continue
            if wire != BYTES:
                raise WireError(start, f"a feature's list has wire type {wire}")
            lists = [*lists, (start, end)] if number == kind else [(start, end)]
            kind = number
    if kind == INT64_LIST:
        return _numbers(buffer, lists)
    if kind == FLOAT_LIST:
        return _floats(buffer, lists)
    return [buffer[start:end] for one in lists for start, end in messages(buffer, one, 1)]


def _numbers(buffer: bytes, lists: list[Span]) -> NDArray[np.int64]:
    # Packed values and single ones are the same varints side by side.
    values = _scalars(buffer, lists, VARINT)
    try:
        return varints(b"".join(buffer[start:end] for start, end in values))
    except WireError as error:
        raise WireError(lists[0][0], error.problem) from error


def _floats(buffer: bytes, lists: list[Span]) -> NDArray[np.float32]:
    values = _scalars(buffer, lists, FIXED32)
    for start, end in values:
        if (end - start) % 4:
            raise WireError(start, f"floats of {end - start} bytes in all")
    return np.frombuffer(b"".join(buffer[start:end] for start, end in values), dtype="<f4").astype(np.float32)


def _scalars(buffer: bytes, lists: list[Span], single: int) -> list[Span]:
    """Where the values of a repeated scalar (field 1) lie: packed, or each for itself with the wire type `single`."""
    spans = []
    for one in lists:
        for number, wire, start, end in _fields(buffer, one):
            if number == 1 and wire not in (BYTES, single):
                raise WireError(start, f"a list's value has wire type {wire}")
            if number == 1:
                spans.append((start, end))
    return spans


def messages(buffer: bytes, span: Span, wanted: int) -> Iterator[Span]:
    """Where the length-delimited fields of one number lie in a message.

    Raises:
        WireError: the bytes are no message, or a field of that number is of another wire type.
    """
    for number, wire, start, end in _fields(buffer, span):
        if number == wanted and wire != BYTES:
            raise WireError(start, f"field {number} has wire type {wire}, not {BYTES}")
        if number == wanted:
            yield start, end


def _fields(buffer: bytes, span: Span) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and where the value lies: a varint's bytes, a message's inside."""
    at, end = span
    while at < end:
        tag, start = _varint(buffer, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, stop = _varint(buffer, start, end)
        elif wire in (FIXED64, FIXED32):
            stop = start + (8 if wire == FIXED64 else 4)
        elif wire == BYTES:
            length, start = _varint(buffer, start, end)
            stop = start + length
        else:
            raise WireError(at, f"wire type {wire}")
        if not number:
            raise WireError(at, "field number 0")
        if stop > end:
            raise WireError(at, f"field {number} is longer than the message that holds it")
        yield number, wire, start, stop
        at = stop


def _varint(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """The varint at a place, and the place after it."""
    value = 0
    for step in range(LONGEST_VARINT):
        if at + step >= end:
            break
        octet = buffer[at + step]
        value |= (octet & 127) << (7 * step)
        if octet < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at + step + 1
    raise WireError(at, "a number is cut off or longer than 10 bytes")
