"""A model as one graph of operators: what `torch.export` makes of it, and the same as ONNX.

    inputs     by modality, as the data set gives them: (batch, *shape), of what has steps (batch, steps, ...)
    masks      bool (batch, steps), of modalities whose samples differ in length
    present    bool (batch,), of every modality
    logits     (batch, classes); of a regression the numbers, in the data's unit

The batch may be of any size, and of any number of steps where the model leaves them open; where it does not, samples
are filled up to the longest that occurs. Encoders are in it, what only training needs is not.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule, Node

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError, reason_of
from fusionbench.fusion.base import FusionModule

PARTS = ("inputs", "masks", "present")
OUTPUT, ABOUT = "logits", "fusionbench"
"""The name of what comes out, and of what a file says of itself."""
EXAMPLE = 2
"""Samples that the graph is recorded on, all zeros: one would freeze the size of the batch."""
RECURRENCES = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""As operators are called."""
ONNX_BYTES = 2**31 - 1
"""The most that one file of ONNX holds."""


@dataclass(frozen=True)
class Entry:
    """One tensor that goes in."""

    part: str
    """inputs, masks or present."""
    modality: str
    dtype: str
    shape: tuple[int | str, ...]
    """Sizes; "batch" and "steps" where any will do."""

    @property
    def name(self) -> str:
        """As it is called in ONNX: `text`, `text.mask`, `text.present`."""
        return self.modality + {"inputs": "", "masks": ".mask", "present": ".present"}[self.part]


@dataclass(frozen=True)
class Exported:
    """A graph, and what goes into it, in order."""

    program: ExportedProgram
    entries: tuple[Entry, ...]

    def dicts(self, batch: MultimodalBatch) -> dict[str, dict[str, Tensor]]:
        """A batch as the graph takes it: plain dicts, filled up where the number of steps is fixed."""
        found: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for entry in self.entries:
            values = getattr(batch, entry.part)[entry.modality]
            found[entry.part][entry.modality] = _filled(values, entry.shape)
        return found


def exported(module: FusionModule, sample: MultimodalBatch, *, any_steps: bool = True) -> Exported:
    """The graph of a model.

    Args:
        module: in eval mode, on the CPU.
        sample: some samples of its data, of which only names, types and shapes are read.
        any_steps: whether the number of steps is left open, where the model's code allows it.

    Raises:
        UserError: some of its code cannot be recorded; one line says which.
    """
    dicts = _blank(module, sample)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()  # A part of a larger storage would be written with all of that.
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of recurrences, which keep their weights twice: nobody can change it.
            program = torch.export.export(
                module, tuple(dicts.values()), dynamic_shapes=_open_shapes(dicts, any_steps=any_steps)
            )
    except Exception as error:  # Whatever the code of a strategy or an encoder does that no graph has.
        raise UserError(f"no graph of it can be made: {reason_of(error)}") from error
    for node in _nodes(program):
        node.meta.pop("stack_trace", None)  # Which names folders of this machine.
    return Exported(program, tuple(_entries(program, dicts)))


def program_bytes(found: Exported, about: Mapping[str, Any]) -> bytes:
    """A file for `torch.export.load`; what it is about lies in it as `fusionbench.json`."""
    buffer = io.BytesIO()
    torch.export.save(found.program, buffer, extra_files={f"{ABOUT}.json": json.dumps(about, sort_keys=True)})
    return buffer.getvalue()


def graph_for_onnx(module: FusionModule, sample: MultimodalBatch, graph: Exported) -> Exported:
    """The graph that ONNX is made from: with a fixed number of steps where there is a recurrence.

    torch counts the steps of a recurrence when it makes ONNX of it, whatever the graph leaves open.

    Args:
        module: as of `exported`.
        sample: likewise.
        graph: of them.
    """
    calls = (str(node.target) for node in _nodes(graph.program) if node.op == "call_function")
    is_recurrent = any(name in call for call in calls for name in RECURRENCES)
    return exported(module, sample, any_steps=False) if is_recurrent else graph


def onnx_bytes(found: Exported, about: Mapping[str, Any]) -> bytes:
    """A file of ONNX; what it is about lies in its metadata as `fusionbench`.

    Raises:
        UserError: an operator has no form in ONNX, or it is larger than a file of ONNX can be.
    """
    names = [entry.name for entry in found.entries]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(found.program, input_names=names, output_names=[OUTPUT], verbose=False)
        assert made is not None
        model = made.model_proto
    except Exception as error:  # The exporter's own, of many kinds.
        raise UserError(f"no ONNX form of it can be made: {reason_of(_first_cause(error))}") from error
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # Which lines of whose code it comes from: most of a small file.
    said = model.metadata_props.add()
    said.key, said.value = ABOUT, json.dumps(about, sort_keys=True)
    if model.ByteSize() > ONNX_BYTES:
        raise UserError(f"{model.ByteSize():,} bytes; a file of ONNX holds {ONNX_BYTES:,} at most")
    return cast(bytes, model.SerializeToString())


def _first_cause(error: Exception) -> Exception:
    """The exporter wraps what names the operator in advice of many lines."""
    return _first_cause(error.__cause__) if isinstance(error.__cause__, Exception) else error


def _nodes(program: ExportedProgram) -> Iterator[Node]:
    """All of a graph, and of graphs within it: what an autocast is around has one of its own."""
    for part in program.graph_module.modules():
        yield from part.graph.nodes if isinstance(part, GraphModule) else ()


def _blank(module: FusionModule, sample: MultimodalBatch) -> dict[str, dict[str, Tensor]]:
    """Zeros of the sample's types and the longest shapes that occur; every step real, every modality there."""
    specs = module.task.modalities
    inputs = {m.name: torch.zeros(EXAMPLE, *m.shape, dtype=sample.inputs[m.name].dtype) for m in specs}
    masks = {m.name: torch.ones(EXAMPLE, m.shape[0], dtype=torch.bool) for m in specs if m.name in sample.masks}
    present = {m.name: torch.ones(EXAMPLE, dtype=torch.bool) for m in specs}
    return dict(zip(PARTS, (inputs, masks, present), strict=True))


def _open_shapes(dicts: Mapping[str, Mapping[str, Tensor]], *, any_steps: bool) -> dict[str, dict[str, Any]]:
    """Any batch; any number of steps where samples differ in it and the model's code allows that."""
    size = Dim("batch")
    steps = {name for name, mask in dicts["masks"].items() if any_steps and mask.shape[1] > 1}
    return {
        part: {name: {0: size, **({1: Dim.AUTO} if name in steps and x.dim() > 1 else {})} for name, x in found.items()}
        for part, found in dicts.items()
    }


def _entries(program: ExportedProgram, dicts: Mapping[str, Mapping[str, Tensor]]) -> Iterator[Entry]:
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    asked = [(part, name, x) for part, found in dicts.items() for name, x in found.items()]
    for (part, name, x), user in zip(asked, program.graph_signature.user_inputs, strict=True):
        sizes: Sequence[Any] = nodes[cast(str, user)].meta["val"].shape
        shape = (one if isinstance(one, int) else ("batch", "steps")[min(at, 1)] for at, one in enumerate(sizes))
        yield Entry(part, name, str(x.dtype).removeprefix("torch."), tuple(shape))


def _filled(values: Tensor, shape: Sequence[int | str]) -> Tensor:
    """Steps up to the number that the graph wants: zeros, which masks say are none."""
    if len(shape) < 2 or isinstance(shape[1], str) or values.shape[1] >= shape[1]:
        return values
    more = values.new_zeros(values.shape[0], shape[1] - values.shape[1], *values.shape[2:])
    return torch.cat([values, more], 1)
