"""The forms that a trained model can have; what they are stands in measure/forms.py, which makes them."""

from __future__ import annotations

from collections.abc import Sequence

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.extras import refuse_without_onnx

EAGER, GRAPH, COMPILED, ONNX, INT8 = "eager", "torch-export", "compiled", "onnx", "int8"
FORMS = (EAGER, GRAPH, COMPILED, ONNX, INT8)


def checked_forms(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names, once they were seen to be forms that can be made here.

    Raises:
        UserError: none, one that is no form, one twice, or ONNX is not installed.
    """
    for name in names:
        if name not in FORMS:
            raise unknown("form", name, FORMS, where)
    if len(set(names)) < len(names) or not names:
        raise UserError(f"{where}: name forms, each once: {','.join(FORMS)}")
    if {ONNX, INT8} & set(names):
        refuse_without_onnx(f"{where} {','.join(names)}")
    return tuple(names)
