"""What the server that workers are forked from imports, once; importing it is for that server alone.

A collection of garbage looks at every object and writes into its memory, so that a worker would copy the pages of all
that was imported, a third of a second in each run. What is frozen here is never looked at again.
"""

from __future__ import annotations

import gc

gc.disable()  # Nothing of what an import makes is garbage: a seventh of its time.
import fusionbench.engines.worker  # noqa: E402, F401  (the import is what this is for)

gc.enable()
gc.collect()
gc.freeze()
