"""Edits of real files: a few bytes that hypothesis draws are a program of edits, so that shorter ones are simpler."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

LONGEST = 2**17
"""Bytes of what is made."""
NUMBERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, -1e308, 5e-324),
    *(float("nan"), float("inf"), "", " ", "x" * 300, "../../x", "/etc/passwd", "a\0b", "\ud800", "\x1b[31mred"),
    *("\u202e", "1e5", "nan", "0" * 50, [], {}, [[]], [None], {"": {}}, {"a": [1, "b", None]}, "done", "concat"),
)
"""In the place of a value of a tree."""


class Program:
    """Bytes, read one after the other; zeros behind their end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self.at < len(self.content)

    def byte(self) -> int:
        """From 0 to 255."""
        found = self.content[self.at] if self.left else 0
        self.at += 1
        return found

    def below(self, limit: int) -> int:
        """A number from 0 to below a limit."""
        if limit <= 1:
            return 0
        return int.from_bytes(bytes(self.byte() for _ in range(1 if limit <= 256 else 3)), "little") % limit

    def chosen(self, several: Sequence[Any]) -> Any:
        """One of several."""
        return several[self.below(len(several))]


def edited(content: bytes, program: Program, tokens: Sequence[bytes], hot: Sequence[tuple[int, int]] = ()) -> bytes:
    """The content with as many edits as the program has.

    Args:
        content: of a file.
        program: says which edits, and where.
        tokens: bytes that mean something in such files.
        hot: spans where edits matter most, which get half of them.
    """
    out = bytearray(content)
    while program.left and len(out) < LONGEST:
        _edit(out, program, tokens, hot)
    return bytes(out[:LONGEST])


def _edit(out: bytearray, program: Program, tokens: Sequence[bytes], hot: Sequence[tuple[int, int]]) -> None:
    kind = program.byte()
    at = program.below(len(out) + 1)
    if hot and kind & 128:
        first, end = program.chosen(hot)
        at = min(len(out), first + program.below(max(1, end - first)))
    length = 1 + program.byte() % 32
    match kind % 11:
        case 0 | 1 if at < len(out):
            out[at] ^= 1 << program.byte() % 8
        case 2 if at < len(out):
            out[at] = program.byte()
        case 3:
            out[at:at] = bytes([program.byte()])
        case 4:
            del out[at : at + length]
        case 5:
            out[at:at] = out[at : at + length]
        case 6:
            token = program.chosen(tokens) if tokens else b""
            out[at : at + program.chosen((0, len(token)))] = token
        case 7:
            form = program.chosen(("<B", "<H", "<I", "<Q", ">I", ">H"))
            size = struct.calcsize(form)
            out[at : at + size] = struct.pack(form, program.chosen(NUMBERS) % 256**size)
        case 8:
            other = program.below(len(out) + 1)
            out[at : at + length] = out[other : other + length]
        case 9 if program.byte() % 4 == 0:
            del out[at:]
        case 10:
            out[at:at] = out[at : at + length] * (1 + program.byte() % 64)


def edited_tree(tree: Any, program: Program) -> Any:
    """A tree of JSON with as many edits as the program has; the tree itself is changed."""
    holder = [tree]
    while program.left:
        _edit_tree(holder, program)
    return holder[0] if holder else None


def _edit_tree(holder: Any, program: Program) -> None:
    """Walk down from a list of one; stop somewhere, and change what is there."""
    at, key = holder, 0 if holder else None
    while key is not None:
        below = at[key]
        if not isinstance(below, dict | list) or not below or program.byte() % 5 == 0:
            break
        at, key = below, program.chosen(list(below) if isinstance(below, dict) else range(len(below)))
    if key is None:
        return
    match program.byte() % 6:
        case 0 | 1:
            at[key] = deepcopy(program.chosen(VALUES))
        case 2 if at is not holder:
            del at[key]
        case 3 if isinstance(at, list):
            at.insert(key, deepcopy(program.chosen(VALUES)))
        case 3 if isinstance(at, dict):
            at[str(program.chosen(VALUES))] = deepcopy(at[key])
        case 4:
            at[key] = [at[key]] if program.byte() % 2 else {"name": at[key]}
        case _ if isinstance(at[key], int | float) and not isinstance(at[key], bool):
            at[key] = program.chosen((-1, 0.5, 1e300, 7)) * at[key]


def as_json(tree: Any) -> bytes:
    """What Python makes of it, halves of characters and numbers that are none included."""
    return json.dumps(tree).encode()
