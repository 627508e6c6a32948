"""An independent writer of TFRecords: protobuf's own encoder, and CRC32C bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

Field = descriptor_pb2.FieldDescriptorProto
Values = Sequence[bytes] | Sequence[int] | Sequence[float]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), reflected, from its definition."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    """The checksum as TFRecord stores it."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)


def frame(data: bytes) -> bytes:
    """One record."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


@cache
def example_class(packed: bool) -> Any:
    """tf.Example for protobuf; the map is a list of entries: the same on the wire, and it keeps its order."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"example_{packed}.proto", package=f"p{int(packed)}", syntax="proto2"
    )
    lists = (("BytesList", Field.TYPE_BYTES), ("FloatList", Field.TYPE_FLOAT), ("Int64List", Field.TYPE_INT64))
    for name, kind in lists:
        field = file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=3)
        if kind != Field.TYPE_BYTES:
            field.options.packed = packed
    feature = file.message_type.add(name="Feature")
    for number, (name, _) in enumerate(lists, 1):
        _add_message(feature, name.lower(), number, f"p{int(packed)}.{name}", repeated=False)
    entry = file.message_type.add(name="Entry")
    entry.field.add(name="key", number=1, type=Field.TYPE_STRING, label=1)
    _add_message(entry, "value", 2, f"p{int(packed)}.Feature", repeated=False)
    _add_message(file.message_type.add(name="Features"), "feature", 1, f"p{int(packed)}.Entry", repeated=True)
    _add_message(file.message_type.add(name="Example"), "features", 1, f"p{int(packed)}.Features", repeated=False)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"p{int(packed)}.Example"))


def _add_message(owner: Any, name: str, number: int, kind: str, *, repeated: bool) -> None:
    owner.field.add(name=name, number=number, type=Field.TYPE_MESSAGE, type_name=f".{kind}", label=3 if repeated else 1)


def example(features: Mapping[str, Values], *, packed: bool = True) -> bytes:
    """A tf.Example with the features in that order."""
    message = example_class(packed)()
    for name, values in features.items():
        entry = message.features.feature.add(key=name)
        first = values[0] if len(values) else 0
        kind = "byteslist" if isinstance(first, bytes) else "floatlist" if isinstance(first, float) else "int64list"
        getattr(entry.value, kind).value.extend(values)
    return bytes(message.SerializeToString())


def video(name: bytes, labels: Sequence[int], rng: np.random.Generator) -> dict[str, Values]:
    """A video-level record of YouTube-8M with random features."""
    rgb, audio = (rng.standard_normal(size).astype(np.float32).tolist() for size in (1024, 128))
    return {"id": [name], "labels": list(labels), "mean_rgb": rgb, "mean_audio": audio}


def write_shard(path: Path, videos: Sequence[Mapping[str, Values]]) -> None:
    """A file of records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frame(example(one)) for one in videos))
