from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfrecord_writer import crc32c, example, frame, masked

from fusionbench.core.errors import UserError
from fusionbench.data.tfrecord import WireError, masked_crc, parse_example, record_spans, varints

PATH = Path("some.tfrecord")
TWO = frame(b"first") + frame(b"the second")
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(width=32, allow_nan=False)
FEATURES = st.dictionaries(
    st.text(max_size=12),
    st.lists(st.binary(max_size=20)) | st.lists(INT64, min_size=1) | st.lists(FLOAT, min_size=1),
    max_size=5,
)


def records(buffer: bytes) -> list[bytes]:
    return [buffer[start:end] for start, end in record_spans(buffer, PATH)]


def parsed(data: bytes) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in parse_example(data, (0, len(data))).items()}


def test_the_checksum_is_crc32c() -> None:
    # The check value of CRC-32C in every catalogue of CRCs.
    assert crc32c(b"123456789") == 0xE3069283
    assert masked_crc(b"123456789") == int.from_bytes(masked(b"123456789"), "little")


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_records_come_back_as_they_were_framed(data: list[bytes]) -> None:
    assert records(b"".join(frame(one) for one in data)) == data


@pytest.mark.parametrize("cut", [n for n in range(1, len(TWO)) if n != len(frame(b"first"))])
def test_a_file_cut_anywhere_but_between_records_is_refused(cut: int) -> None:
    with pytest.raises(UserError, match=r"^some\.tfrecord: byte \d+: .*cut off"):
        records(TWO[:cut])


@pytest.mark.parametrize("bit", range(8 * len(TWO)))
def test_every_flipped_bit_is_found(bit: int) -> None:
    flipped = bytearray(TWO)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(UserError, match=r"^some\.tfrecord: byte \d+: wrong checksum"):
        records(bytes(flipped))


def test_the_error_names_the_byte_where_the_record_lies() -> None:
    second = len(frame(b"first"))
    with pytest.raises(UserError, match=f"byte {second}: a record of 10 bytes is cut off after 3"):
        records(TWO[: second + 12 + 3])
    with pytest.raises(UserError, match=f"byte {second + 12}: wrong checksum of a record's data"):
        records(TWO[:-5] + b"?" + TWO[-4:])


def test_a_length_of_two_to_the_sixty_is_refused_without_allocating_it() -> None:
    length = struct.pack("<Q", 2**60)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=f"byte 0: a record of {2**60} bytes is cut off after 4"):
            records(length + masked(length) + b"data")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    with pytest.raises(UserError, match="byte 0: wrong checksum of a record's length"):
        records(length + b"\0\0\0\0" + b"data")


@given(FEATURES, st.booleans())
def test_what_protobuf_writes_is_read(features: dict[str, list[Any]], packed: bool) -> None:
    assert parsed(example(features, packed=packed)) == features


@given(st.lists(INT64, min_size=1, max_size=8))
def test_many_numbers_are_decoded_at_once(values: list[int]) -> None:
    # A packed list stands at the end of the message: protobuf's own varints.
    assert varints(example({"n": values})[-sum(map(_size, values)) :]).tolist() == values


def test_no_bytes_are_no_numbers() -> None:
    assert varints(b"").tolist() == []
    assert parsed(b"") == {}
    assert parsed(b"\x0a\x02\x0a\x00") == {"": []}


def _size(value: int) -> int:
    return max(1, -(-(value % 2**64).bit_length() // 7))


def test_of_a_name_that_occurs_twice_the_last_counts_and_parts_are_merged() -> None:
    # Two serialised messages side by side are their merger.
    data = example({"a": [1], "b": [b"x"]}) + example({"a": [2.0]})
    assert parsed(data) == {"a": [2.0], "b": [b"x"]}


def test_fields_that_nobody_knows_are_skipped() -> None:
    unknown = b"\x78\x05" + b"\x79" + bytes(8) + b"\x7a\x02hi" + b"\x7d" + bytes(4)
    assert parsed(unknown + example({"a": [7]}) + unknown) == {"a": [7]}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a", "a number is cut off"),
        (b"\x0a\x05abc", "field 1 is longer than the message"),
        (b"\x08\x01", "field 1 has wire type 0"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "field number 0"),
        (b"\x0a" + b"\xff" * 11, "longer than 10 bytes"),
        (b"\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x12\x03\x0a\x01?", "floats of 1 bytes"),
        (b"\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x80", "a number is cut off"),
        (b"\x0a\x05\x0a\x03\x0a\x01\xff", "name is not UTF-8"),
    ],
)
def test_a_wrong_wire_format_is_named(data: bytes, problem: str) -> None:
    with pytest.raises(WireError, match=problem) as caught:
        parsed(data)
    assert 0 <= caught.value.offset <= len(data)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_a_wire_error(data: bytes) -> None:
    try:
        found = parse_example(data, (0, len(data)))
    except WireError as error:
        place, found = error.offset, {}
    else:
        place = 0
    assert 0 <= place <= len(data)
    assert all(isinstance(values, list | np.ndarray) for values in found.values())
