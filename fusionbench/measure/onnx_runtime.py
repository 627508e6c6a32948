"""Models of ONNX, run by ONNX Runtime on the processor, and with weights of eight bits.

int8: weights of matrix products and recurrences are rounded to eight bits when the file is made, what meets them when
it is run ("dynamic"); convolutions, embeddings and all else stay as they are.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError, reason_of
from fusionbench.measure.exported import PARTS, Exported

SHARED = ("MatMul", "Gemm", "LSTM", "GRU", "Attention")
"""Operators whose weights int8 rounds; ONNX Runtime's integer convolution is slower than its own of floats."""


class Session:
    """A model of ONNX, ready to be run by so many threads.

    Raises:
        UserError: ONNX Runtime does not take it.
    """

    def __init__(self, content: bytes, made_of: Exported, threads: int) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.log_severity_level = 3  # Errors alone.
        # Threads that wait by spinning would take the time of whatever is timed next.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # Its own, of many kinds.
            raise UserError(f"ONNX Runtime does not run it: {reason_of(error)}") from error
        self._made_of, self._wanted = made_of, {one.name for one in self._session.get_inputs()}

    def bound(self, batch: MultimodalBatch) -> Callable[[], Tensor]:
        """What runs it on a batch: logits (B, C)."""
        dicts = self._made_of.dicts(batch)
        every = zip(self._made_of.entries, (x for part in PARTS for x in dicts[part].values()), strict=True)
        # What a model never looks at may be gone from its inputs.
        given = {entry.name: x.contiguous().numpy() for entry, x in every if entry.name in self._wanted}
        return lambda: torch.from_numpy(self._session.run(None, given)[0])


def int8_bytes(content: bytes) -> bytes:
    """The same model with weights of eight bits.

    Raises:
        UserError: it cannot be made.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="fusionbench-int8-") as folder:
        path, root = Path(folder) / "int8.onnx", logging.getLogger()
        before = root.level
        root.setLevel(logging.ERROR)  # It warns by the root logger that shapes could be inferred first.
        try:
            model = onnx.load_from_string(content)
            quantize_dynamic(model, path, op_types_to_quantize=list(SHARED), weight_type=QuantType.QInt8)
            return path.read_bytes()
        except Exception as error:  # Its own, of many kinds.
            raise UserError(f"no int8 form of it can be made: {reason_of(error)}") from error
        finally:
            root.setLevel(before)
