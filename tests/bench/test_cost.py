"""What a run costs: memory against what was allocated, energy against counters made up for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionbench.bench import cost, energy, memory
from fusionbench.bench.cost import counted
from fusionbench.bench.energy import Nvml, Rapl, Uncounted
from fusionbench.bench.memory import ProcessMemory

MIB = 2**20
LINUX = pytest.mark.skipif(not memory.STATM.exists(), reason="only Linux says what memory a process has")


@LINUX
def test_the_peak_is_what_was_allocated_although_it_is_given_back() -> None:
    watched = ProcessMemory()
    held = np.ones(64 * MIB // 8)
    watched.look()
    del held
    assert 60 * MIB < watched.peak() < 96 * MIB


@LINUX
def test_what_a_run_allocates_is_in_its_cost() -> None:
    with counted() as found:
        held = np.ones(64 * MIB // 8)
    assert found["memory_of"] == "process"
    assert 60 * MIB < found["memory_bytes"] < 96 * MIB
    assert held.all()


@LINUX
def test_a_file_that_is_mapped_and_read_is_no_memory_of_the_process(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.ones(32 * MIB // 8))
    watched = ProcessMemory()
    assert np.load(tmp_path / "data.npy", mmap_mode="r").sum() == 32 * MIB // 8
    assert watched.peak() < 8 * MIB


def test_a_peak_between_two_looks_counts_and_one_before_the_first_does_not() -> None:
    sizes = iter([50, 90, 70, 60])
    watched = ProcessMemory(lambda: next(sizes))
    watched.look()
    watched.look()
    assert watched.peak() == 40


def test_where_a_system_says_nothing_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATM", tmp_path / "statm")
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(cost, "memory_here", lambda: None)
    with counted() as found:
        pass
    assert "memory_bytes" not in found
    assert set(found["uncounted"]) == {"memory", "processor"}


def zone(root: Path, name: str, microjoules: int, label: str = "package-0") -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    return folder


def test_joules_are_of_all_processors_and_go_on_where_a_counter_begins_again(tmp_path: Path) -> None:
    one, other = zone(tmp_path, "intel-rapl:0", 262_143_000_000), zone(tmp_path, "intel-rapl:1", 5, "package-1")
    zone(tmp_path, "intel-rapl:0:0", 7, "core")
    zone(tmp_path, "intel-rapl:2", 7, "psys")
    counter = Rapl(tmp_path)
    (one / "energy_uj").write_text("1000000")
    (other / "energy_uj").write_text("2000005")
    assert counter.joules() == pytest.approx(1.32885 + 2.0)
    (one / "energy_uj").write_text("3000000")
    assert counter.joules() == pytest.approx(1.32885 + 2.0 + 2.0)


def test_a_processor_without_a_counter_or_with_another_users_is_said_to_be_uncounted(tmp_path: Path) -> None:
    with pytest.raises(Uncounted, match="no processor's counter"):
        Rapl(tmp_path)
    (zone(tmp_path, "intel-rapl:0", 1) / "energy_uj").write_text("many")
    with pytest.raises(Uncounted, match="cannot be read"):
        Rapl(tmp_path)


class Library:
    """As NVML answers: a code, and numbers through pointers."""

    def __init__(self, *millijoules: int, code: int = 0) -> None:
        self.millijoules, self.code, self.asked = iter(millijoules), code, b""

    def nvmlInit_v2(self) -> int:  # noqa: N802  (its own name)
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:  # noqa: N802
        self.asked = uuid
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, found: Any) -> int:  # noqa: N802
        if not self.code:
            found._obj.value = next(self.millijoules)
        return self.code


def test_joules_of_a_gpu_are_the_difference_of_its_counter() -> None:
    library = Library(2**40, 2**40 + 1500)
    counter = Nvml(library, "1234-5")
    assert library.asked == b"GPU-1234-5"
    assert counter.joules() == 1.5


def test_a_gpu_that_counts_no_energy_is_said_to_be_uncounted() -> None:
    with pytest.raises(Uncounted, match=r"counts no energy \(code 3\)"):
        Nvml(Library(code=3), "1234-5")
