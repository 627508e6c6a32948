"""The records of a video-level YouTube-8M shard as arrays: id, labels, mean_rgb, mean_audio.

Shards as published hold every list packed in one piece, so a record is a few fixed byte strings around its values:
those are compared and the values sliced out. A record written in any other way goes through the general parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown
from fusionbench.data.tfrecord import (
    BYTES_LIST,
    FLOAT_LIST,
    INT64_LIST,
    Feature,
    Span,
    WireError,
    damaged,
    messages,
    parse_example,
    record_spans,
    varints,
)

CLASSES = 3862
RGB, AUDIO = 1024, 128
"""Features of a video: of its frames' pictures, and of its sound."""

Places = tuple[Span, Span, Span, Span]
"""Where id, labels, rgb and audio lie."""


@dataclass(frozen=True)
class VideoShard:
    """The n records of one shard."""

    ids: NDArray[np.bytes_]
    """(n,) the anonymous four letters of each video."""
    labels: NDArray[np.int64]
    """All labels of the first record, then of the second, ...; each in [0, 3862)."""
    counts: NDArray[np.int64]
    """(n,) how many labels each record has."""
    rgb: NDArray[np.float32]
    """(n, 1024)."""
    audio: NDArray[np.float32]
    """(n, 128)."""


def read_video_shard(path: Path) -> VideoShard:
    """Reads a shard whole; every checksum is checked.

    Raises:
        UserError: a record is cut off or damaged, there is none, none has a label, or the file is of another level,
            version or vocabulary; names file and byte offset.
        OSError: the file cannot be read.
    """
    buffer = path.read_bytes()
    if not buffer:
        raise damaged(path, 0, "holds no record")
    ids, labels, rgb, audio = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    spans = record_spans(buffer, path)
    for span in spans:
        places = _published_layout(buffer, span)
        parts = [buffer[a:b] for a, b in places] if places else _any_layout(buffer, span, path)
        for column, part in zip((ids, labels, rgb, audio), parts, strict=True):
            column.append(part)
    values, counts = _labels(labels, spans, path)
    shard = VideoShard(
        ids=np.array(ids, dtype=np.bytes_),
        labels=values,
        counts=counts,
        rgb=np.frombuffer(b"".join(rgb), dtype="<f4").reshape(-1, RGB),
        audio=np.frombuffer(b"".join(audio), dtype="<f4").reshape(-1, AUDIO),
    )
    for name, array in (("mean_rgb", shard.rgb), ("mean_audio", shard.audio)):
        finite = np.isfinite(array).all(1)
        if not finite.all():
            raise _foreign(path, spans[int(finite.argmin())][0], f"{name} holds a value that is not finite")
    if not len(shard.labels):
        raise _foreign(path, 0, "no record has a label, as in the official test partition")
    return shard


def _foreign(path: Path, offset: int, problem: str) -> UserError:
    """The error for a file that is whole, since its checksums are right, but holds something else."""
    return UserError(
        f"{path}: byte {offset}: {problem}; put the video-level shard of 2018 in its place (train or validate, from "
        f"2/video on the server)"
    )


def encoded_length(value: int) -> bytes:
    """A varint."""
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])


def head(name: bytes, kind: int, size: int) -> bytes:
    """The bytes before the values of a feature that is one packed list of `size` bytes."""
    key = b"\x0a" + encoded_length(len(name)) + name
    values = b"\x0a" + encoded_length(size)
    listed = bytes([kind << 3 | 2]) + encoded_length(len(values) + size) + values
    feature = b"\x12" + encoded_length(len(listed) + size) + listed
    return b"\x0a" + encoded_length(len(key) + len(feature) + size) + key + feature


RGB_HEAD, AUDIO_HEAD = head(b"mean_rgb", FLOAT_LIST, 4 * RGB), head(b"mean_audio", FLOAT_LIST, 4 * AUDIO)
LONGEST_ID = 16
"""Letters; the published ids have four."""
SHORT = 100
"""Lists of fewer bytes than this: all lengths on the way to them fit one byte, so the second byte tells the size."""
ID_HEADS = {
    head(b"id", BYTES_LIST, size)[1]: (head(b"id", BYTES_LIST, size), size) for size in range(1, LONGEST_ID + 1)
}
LABEL_HEADS = {head(b"labels", INT64_LIST, n)[1]: (head(b"labels", INT64_LIST, n), n) for n in range(1, SHORT)}
NO_FRAMES = b"\x12\x00"
"""The published records end in an empty second field: they are SequenceExamples without frames."""
NO_HEAD = (b"\x00", 0)
"""Begins no feature."""


def _published_layout(buffer: bytes, span: Span) -> Places | None:
    """Where the values lie; None if the record is not written as the published ones are."""
    at, end = span
    if buffer.endswith(NO_FRAMES, at, end):
        end -= len(NO_FRAMES)
    # One message, whose length takes two bytes: a record is some 4,700 bytes.
    if end - at < 3 or buffer[at] != 10 or (buffer[at + 1] & 127 | buffer[at + 2] << 7) != end - at - 3:
        return None
    at += 3
    name = labels = rgb = audio = None
    for _ in range(4):
        second = buffer[at + 1] if at + 1 < end else 0
        id_head, id_size = ID_HEADS.get(second, NO_HEAD)
        label_head, label_size = LABEL_HEADS.get(second, NO_HEAD)
        if buffer.startswith(RGB_HEAD, at):
            rgb = (at + len(RGB_HEAD), at + len(RGB_HEAD) + 4 * RGB)
            at = rgb[1]
        elif buffer.startswith(AUDIO_HEAD, at):
            audio = (at + len(AUDIO_HEAD), at + len(AUDIO_HEAD) + 4 * AUDIO)
            at = audio[1]
        elif buffer.startswith(label_head, at):
            labels = (at + len(label_head), at + len(label_head) + label_size)
            at = labels[1]
        elif buffer.startswith(id_head, at):
            name = (at + len(id_head), at + len(id_head) + id_size)
            at = name[1]
    if at != end or name is None or labels is None or rgb is None or audio is None:
        return None
    # A label that runs on into the next record is for the general parser to refuse.
    return (name, labels, rgb, audio) if buffer[labels[1] - 1] < 128 else None


def _any_layout(buffer: bytes, span: Span, path: Path) -> tuple[bytes, bytes, bytes, bytes]:
    """The same four values through the general parser: id, labels as packed varints, floats as bytes."""
    try:
        found = parse_example(buffer, span)
        has_frames = any(end > start for start, end in messages(buffer, span, 2))
    except WireError as error:
        raise _foreign(path, error.offset, f"no tf.Example: {error.problem}") from error
    problem = _other_kind(found, has_frames=has_frames)
    if problem:
        raise _foreign(path, span[0], problem)
    name, labels = found.get("id"), found.get("labels", [])
    if not isinstance(name, list) or len(name) != 1 or not 0 < len(name[0]) <= LONGEST_ID:
        raise _foreign(path, span[0], f"a record without one id of 1 to {LONGEST_ID} letters")
    if len(labels) and not (isinstance(labels, np.ndarray) and labels.dtype == np.int64):
        raise _foreign(path, span[0], "labels are no list of integers")
    packed = b"".join(encoded_length(int(label) & 0xFFFFFFFFFFFFFFFF) for label in labels)
    floats = []
    for feature, size in (("mean_rgb", RGB), ("mean_audio", AUDIO)):
        values = found.get(feature)
        if not isinstance(values, np.ndarray) or values.dtype != np.float32 or len(values) != size:
            raise _foreign(path, span[0], f"no {feature} of {size} floats")
        floats.append(values.astype("<f4").tobytes())
    return name[0], packed, floats[0], floats[1]


def _other_kind(found: dict[str, Feature], *, has_frames: bool) -> str:
    """Which other kind of YouTube-8M's files, or of any, a record is of; empty if it looks like one of ours."""
    if "segment_labels" in found:
        return "a record of segments (2019), frame level"
    if "mean_rgb" not in found and (has_frames or "rgb" in found or "inc3" in found):
        return "a frame-level record"
    if "id" not in found and "video_id" in found:
        return "a record of the version of 2016 or 2017, which has other classes"
    if not {"id", "mean_rgb", "mean_audio"} & set(found):
        return f"no record of YouTube-8M: its features are {shown(', '.join(sorted(found)) or 'none')}"
    return ""


def _labels(packed: list[bytes], spans: list[Span], path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All labels in one array, and how many each record has."""
    joined = b"".join(packed)
    try:
        values = varints(joined)
    except WireError as error:
        record = int(np.searchsorted(np.cumsum([len(part) for part in packed]), error.offset, side="right"))
        raise _foreign(path, spans[record][0], f"labels: {error.problem}") from error
    ends = np.cumsum(np.array([len(part) for part in packed], dtype=np.int64))
    # A varint ends where a byte has no high bit: count those up to each record's end.
    ended = np.concatenate([[0], np.cumsum(np.frombuffer(joined, dtype=np.uint8) < 128)])
    counts = np.diff(ended[np.concatenate([[0], ends])]).astype(np.int64)
    wrong = (values < 0) | (values >= CLASSES)
    if wrong.any():
        record = int(np.searchsorted(np.cumsum(counts), wrong.argmax(), side="right"))
        which = f"label {values[wrong][0]} is not in 0 .. {CLASSES - 1}"
        raise _foreign(path, spans[record][0], f"{which}: the vocabulary of another version has 4716 or 4800 classes")
    return values, counts
