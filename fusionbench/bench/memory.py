"""The memory that a run takes: by how much this process's anonymous memory rose, or what torch held on the device.

Anonymous memory is what a process allocates; the files that it maps, such as a data set's arrays, are not in it. Linux
says how much of it is resident, and of no peak, so it has to be looked at again and again.

    /proc/self/statm    pages: size, resident, shared (files and what processes share), ...; resident - shared
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def anonymous_bytes() -> int:
    """The anonymous memory of this process that is resident.

    Raises:
        OSError: this system does not say.
        ValueError: it says so in another form.
        IndexError: likewise.
    """
    _, resident, shared, *_ = map(int, STATM.read_bytes().split())
    return (resident - shared) * PAGE


class ProcessMemory:
    """The peak of this process's anonymous memory over what it was at first."""

    of = "process"

    def __init__(self, read: Callable[[], int] = anonymous_bytes) -> None:
        self._read = read
        self._first = self._most = read()

    def look(self) -> None:
        """Once more."""
        self._most = max(self._most, self._read())

    def peak(self) -> int:
        """Bytes."""
        self.look()
        return self._most - self._first


class DeviceMemory:
    """The peak of what torch holds on the GPU over what it held at first; the model moves there within it."""

    of = "device"

    def __init__(self) -> None:
        torch.cuda.reset_peak_memory_stats()
        self._first = torch.cuda.memory_allocated()

    def look(self) -> None:
        """Nothing: torch keeps the peak itself."""

    def peak(self) -> int:
        """Bytes."""
        return torch.cuda.max_memory_allocated() - self._first


def memory_here() -> ProcessMemory | DeviceMemory | None:
    """What counts on this machine; None where nothing does."""
    if torch.cuda.is_available():
        return DeviceMemory()
    try:
        return ProcessMemory()
    except (OSError, ValueError, IndexError):
        return None
