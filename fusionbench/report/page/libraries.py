"""What a page needs beside fusionbench, the extra `page`, and the script that draws pictures without a network."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

from fusionbench.core.errors import UserError

NEEDED = ("altair", "vl_convert")
LICENCE = "Vega, Vega-Lite and Vega-Embed: BSD 3-Clause, University of Washington Interactive Data Lab and contributors"


def refuse_without_libraries() -> None:
    """Before anything is read.

    Raises:
        UserError: the extra `page` is not installed.
    """
    absent = [name for name in NEEDED if find_spec(name) is None]
    if absent:
        raise UserError(
            f"--format html: {' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed here: "
            "pip install 'multimodal-fusionbench[page]'"
        )


@cache
def drawing_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, of the version whose language altair speaks."""
    import altair
    import vl_convert

    version = "_".join(altair.SCHEMA_VERSION.split(".")[:2])
    bundle: Any = vl_convert.javascript_bundle  # Its types ask for a snippet, which it does not need.
    return f"/* {LICENCE} */\n{bundle(vl_version=version)}"
