"""`python -m fusionbench.cli`: the command without an installed script."""

from __future__ import annotations

import os
import sys

# `python -m` puts the working folder first, where a `queue.py` would be found. (pathlib would import such modules.)
if sys.path[:1] == [os.getcwd()]:  # noqa: PTH109
    sys.path.append(sys.path.pop(0))

from fusionbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
