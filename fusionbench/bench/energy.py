"""Energy counters that a machine may have: RAPL's of processors, NVML's of GPUs. Each counts all that runs there.

    /sys/class/powercap/intel-rapl:N/energy_uj            microjoules of processor N (Intel's and AMD's), root's alone
                                                          on most machines; begins again after max_energy_range_uj
    nvmlDeviceGetTotalEnergyConsumption                   millijoules of a GPU since its driver was loaded

Both count from outside of the process: what else runs on the processor or GPU is in them, and so is its idling.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from ctypes import byref, c_ulonglong, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

POWERCAP = Path("/sys/class/powercap")
LIBRARY = "libnvidia-ml.so.1"


class Uncounted(Exception):
    """There is no counter that can be read; the message says why."""


class Counter(Protocol):
    """One that counts up."""

    def look(self) -> None:
        """Often enough that it does not begin again twice in between."""

    def joules(self) -> float:
        """Since it was made."""


@dataclass
class Rapl:
    """The processors of this machine together.

    Raises:
        Uncounted: there are no such counters, or they are not for us to read.
    """

    root: Path = POWERCAP
    _total: float = 0.0
    _last: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = {zone: _number(zone / "energy_uj") for zone in self._zones()}
        if not self._last:
            raise Uncounted(f"no processor's counter in {self.root}")

    def _zones(self) -> Iterator[Path]:
        for zone in sorted(self.root.glob("intel-rapl:*")):
            with suppress(OSError):  # Parts of a processor lie beside it, and so do counters of the whole machine.
                if (zone / "name").read_text().startswith("package"):
                    yield zone

    def look(self) -> None:
        """Add what was counted since the last look."""
        for zone, before in self._last.items():
            now = _number(zone / "energy_uj")
            whole = _number(zone / "max_energy_range_uj") if now < before else 0
            self._total += (now - before + whole) / 1e6
            self._last[zone] = now

    def joules(self) -> float:
        """Since it was made."""
        self.look()
        return self._total


class Nvml:
    """The GPU that this process uses.

    Raises:
        Uncounted: there is no library, or the GPU does not count.
    """

    def __init__(self, library: Any, uuid: str) -> None:
        self._library, self._handle = library, c_void_p()
        _refuse(library.nvmlInit_v2(), "NVML does not start")
        found = library.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode(), byref(self._handle))
        _refuse(found, "NVML does not know the GPU")
        self._first = self._millijoules()

    def _millijoules(self) -> int:
        found = c_ulonglong()
        _refuse(
            self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, byref(found)), "the GPU counts no energy"
        )
        return found.value

    def look(self) -> None:
        """Nothing: 64 bits do not begin again."""

    def joules(self) -> float:
        """Since it was made."""
        return (self._millijoules() - self._first) / 1e3


def counters() -> tuple[dict[str, Counter], dict[str, str]]:
    """Those that can be read, by what they count: "processor", "device"; and why the others cannot."""
    found: dict[str, Counter] = {}
    absent: dict[str, str] = {}
    try:
        found["processor"] = Rapl()
    except Uncounted as reason:
        absent["processor"] = str(reason)
    if torch.cuda.is_available():
        try:
            found["device"] = Nvml(_library(), str(torch.cuda.get_device_properties(0).uuid))
        except (Uncounted, AttributeError) as reason:  # The latter: a library of before GPUs counted.
            absent["device"] = str(reason)
    return found, absent


def _library() -> Any:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise Uncounted(f"no {LIBRARY}") from error


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError as error:
        raise Uncounted(f"{path} may not be read by this user") from error
    except (OSError, ValueError) as error:
        raise Uncounted(f"{path} cannot be read") from error


def _refuse(code: int, what: str) -> None:
    if code != 0:
        raise Uncounted(f"{what} (code {code})")
