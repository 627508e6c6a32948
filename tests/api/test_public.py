"""What `import fusionbench` gives: four names, and nothing heavy before one is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fusionbench

HEAVY = ("torch", "lightning", "timm", "pandas", "pyarrow", "sklearn", "matplotlib", "scipy", "altair", "vl_convert")


def loaded_by(code: str) -> list[str]:
    """Which of the heavy packages a fresh Python has after some code."""
    end = f"\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + end], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_importing_it_loads_nothing_heavy() -> None:
    assert loaded_by("import fusionbench; dir(fusionbench)") == []


def test_asking_for_a_call_loads_neither_torch_nor_pandas() -> None:
    found = loaded_by(
        "import fusionbench; [getattr(fusionbench, name) for name in fusionbench.__all__ if name != 'layer']"
    )
    assert {"torch", "lightning", "timm", "pandas", "pyarrow"}.isdisjoint(found)


def test_every_public_name_is_there_and_listed() -> None:
    assert set(fusionbench.__all__) <= set(dir(fusionbench))
    assert all(callable(getattr(fusionbench, name)) for name in fusionbench.__all__)
    assert all(getattr(fusionbench, name).__doc__ for name in fusionbench.__all__)


def test_another_name_is_an_error_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'comparison'"):
        fusionbench.comparison  # noqa: B018
