"""What a record says of the machine that made it."""

from __future__ import annotations

import pytest

from fusionbench.records import environment as module
from fusionbench.records.environment import environment, instruction_sets


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"flags": "fpu sse sse4_2 avx512f avx2 fma avx amx_bf16 rdpid"}, "amx_bf16 avx avx2 avx512f fma sse4_2"),
        ({"Features": "fp asimd evtstrm sve bf16 i8mm"}, "asimd bf16 i8mm sve"),
        ({}, ""),
    ],
)
def test_instruction_sets_are_those_that_pick_kernels_sorted(
    lines: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_cpuinfo", lambda field: lines.get(field, ""))
    assert instruction_sets() == expected


def test_they_stand_in_every_record() -> None:
    assert environment()["instructions"] == instruction_sets()
