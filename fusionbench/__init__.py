"""Which way of fusing modalities is best, at what cost? What notebooks and programs call.

fusionbench.compare(inputs, targets)      strategies compared on one's own arrays
fusionbench.run(suite)                    a suite trained and measured, as the command line does
fusionbench.load_results(folder)          every record as a row of a data frame
fusionbench.layer(name, ...)              a strategy as a layer of one's own model
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionbench.api.comparison import compare
    from fusionbench.api.loading import load_results
    from fusionbench.api.running import run
    from fusionbench.fusion.layer import layer

__all__ = ["compare", "layer", "load_results", "run"]

PLACES = {
    "compare": "fusionbench.api.comparison",
    "layer": "fusionbench.fusion.layer",
    "load_results": "fusionbench.api.loading",
    "run": "fusionbench.api.running",
}


def __getattr__(name: str) -> Any:
    """Imported when it is first asked for: the command line answers without torch and pandas."""
    if name not in PLACES:
        raise AttributeError(f"module 'fusionbench' has no attribute '{name}'")
    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PLACES])
