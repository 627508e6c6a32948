"""Packages that only some verbs need: looked for without being imported, and named with what installs them."""

from __future__ import annotations

from importlib.util import find_spec

from fusionbench.core.errors import UserError

ONNX, EXPLAIN = ("onnx", "onnxscript", "onnxruntime"), ("captum",)


def refuse_without_onnx(where: str) -> None:
    """UserError unless what makes and runs files of ONNX is here."""
    _refuse_without(ONNX, "onnx", where)


def refuse_without_captum(where: str) -> None:
    """UserError unless what attributes an answer to its inputs is here."""
    _refuse_without(EXPLAIN, "explain", where)


def _refuse_without(packages: tuple[str, ...], extra: str, where: str) -> None:
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        way = f"pip install 'multimodal-fusionbench[{extra}]'"
        raise UserError(f"{where}: {', '.join(lacking)} {verb} not installed here: {way}")
