"""The collector is paused and is afterwards as it was."""

from __future__ import annotations

import gc

import pytest

from fusionbench.core.collecting import paused_collector


def test_the_collector_is_as_it_was_also_after_an_error_and_where_it_was_off() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), paused_collector():
        1 / int(gc.isenabled())  # It is off: 1 / 0.
    assert gc.isenabled()
    gc.disable()
    try:
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
