"""One trained model in several forms, each timed and scored: which is light enough for a small device?

    eager          as it was trained: PyTorch, operator by operator
    torch-export   the recorded graph, run by PyTorch
    compiled       the same graph through torch.compile, which needs a C++ compiler
    onnx           the same graph in ONNX Runtime
    int8           likewise, with weights of eight bits

All run on the processor. A form that cannot be made of a model is a line that says why. A time is of a whole batch from
inputs to logits; `bytes` are those of the form's file, of `compiled` none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError, reason_of
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.exported import Exported, exported, graph_for_onnx, onnx_bytes, program_bytes
from fusionbench.measure.latency import Cell, timed
from fusionbench.measure.onnx_runtime import Session, int8_bytes
from fusionbench.measure.size import disk_bytes
from fusionbench.plan.forms import COMPILED, EAGER, GRAPH, INT8, ONNX

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class Form:
    """A model in one form."""

    name: str
    bytes: int | None
    """Of its file; None: it has none."""
    bound: Callable[[MultimodalBatch, int], Call]
    """What runs it on a batch, by so many threads where the form sets them itself: logits (B, C)."""


class Forms:
    """The forms of one model, made from one graph.

    Args:
        module: trained, in eval mode, on the CPU.
        sample: some samples of its data.
    """

    def __init__(self, module: FusionModule, sample: MultimodalBatch) -> None:
        self._module, self._sample = module, sample

    def made(self, name: str) -> Form:
        """The form of that name.

        Raises:
            UserError: it cannot be made of this model, in one line.
        """
        makers = {EAGER: self._eager, GRAPH: self._graph, COMPILED: self._compiled, ONNX: self._onnx, INT8: self._int8}
        return makers[name]()

    @cached_property
    def graph(self) -> Exported:
        """What all but the first are made from."""
        return exported(self._module, self._sample)

    @cached_property
    def _in_onnx(self) -> tuple[Exported, bytes]:
        graph = graph_for_onnx(self._module, self._sample, self.graph)
        return graph, onnx_bytes(graph, {})

    def _eager(self) -> Form:
        def bound(batch: MultimodalBatch, _: int) -> Call:
            return partial(self._module, batch.inputs, batch.masks, batch.present)

        return Form(EAGER, disk_bytes(self._module), bound)

    def _graph(self) -> Form:
        return Form(
            GRAPH, len(program_bytes(self.graph, {})), partial(_called, self.graph, self.graph.program.module())
        )

    def _compiled(self) -> Form:
        network = torch.compile(self.graph.program.module(), fullgraph=True)
        bound = partial(_called, self.graph, network)
        try:  # It compiles at the first call.
            with torch.inference_mode():
                bound(self._sample, 1)()
        except Exception as error:  # The compiler's own, of many kinds.
            raise UserError(f"it cannot be compiled: {reason_of(error)}") from error
        return Form(COMPILED, None, bound)

    def _onnx(self) -> Form:
        return self._session(ONNX, *self._in_onnx)

    def _int8(self) -> Form:
        graph, content = self._in_onnx
        return self._session(INT8, graph, int8_bytes(content))

    def _session(self, name: str, graph: Exported, content: bytes) -> Form:
        sessions: dict[int, Session] = {}

        def bound(batch: MultimodalBatch, threads: int) -> Call:
            if threads not in sessions:
                sessions[threads] = Session(content, graph, threads)
            return sessions[threads].bound(batch)

        bound(self._sample, 1)()
        return Form(name, len(content), bound)


@dataclass(frozen=True)
class Made:
    """A form that was made, or why it was not."""

    strategy: str
    name: str
    seconds: float
    """That making it took."""
    form: Form | None = None
    reason: str = ""


def made_forms(strategy: str, forms: Forms, names: Sequence[str]) -> Iterator[Made]:
    """Each form of one model.

    Args:
        strategy: its name in tables.
        forms: of the model.
        names: which.
    """
    for name in names:
        began = time.perf_counter()
        try:
            form = forms.made(name)
        except UserError as error:
            yield Made(strategy, name, time.perf_counter() - began, reason=" ".join(str(error).split()))
        else:
            yield Made(strategy, name, time.perf_counter() - began, form)


def timed_forms(
    made: Sequence[Made],
    batches: Mapping[int, MultimodalBatch],
    rng: np.random.Generator,
    on_round: Callable[[int, int], None],
    *,
    seconds: float,
    batch_sizes: Sequence[int],
    threads: Sequence[int],
) -> list[dict[str, Any]]:
    """Time all forms of all models, interleaved; rows and arguments as `latency.measure` has them, on the processor."""

    def cells(every: int) -> Iterator[Cell]:
        for size in batch_sizes:
            for one in made:
                for count in threads if one.form else ():
                    assert one.form is not None
                    call = one.form.bound(batches[size], count or every)
                    yield Cell(one.strategy, "end_to_end", size, count, call, form=one.name)

    return timed(cells, rng, on_round, seconds, "cpu")


def _called(graph: Exported, network: Callable[..., Tensor], batch: MultimodalBatch, _: int) -> Call:
    return partial(network, *graph.dicts(batch).values())
