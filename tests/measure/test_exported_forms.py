"""A model as one graph, in ONNX and with eight bits: what the model itself says, for other batches."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import names
from fusionbench.core.errors import UserError
from fusionbench.core.extras import ONNX
from fusionbench.core.task import ModalityKind, TaskKind
from fusionbench.fusion import concat
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.exported import exported, onnx_bytes, program_bytes
from fusionbench.measure.forms import Forms, made_forms
from fusionbench.plan.forms import FORMS
from fusionbench.testing.cases import refusal
from fusionbench.testing.samples import batch_of, built, task_of

EIGHT = ("late", "concat", "gated", "low_rank", "mutan", "film", "cross_attention", "bottleneck")
KINDS: tuple[ModalityKind, ...] = ("sequence", "vector")
NEAR = 1e-4
WITHOUT_ONNX = {"compact_bilinear": "aten.ones_like", "interleave": "aten.sort"}
"""Strategies, and the operator that torch's exporter has no form of: a Fourier transform's complex numbers, and sorting
in which ties keep their order."""
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ONNX), reason="ONNX is not installed (extra `onnx`)"
)


def made(strategy: str, kinds: Sequence[ModalityKind] = KINDS, kind: TaskKind = "multiclass") -> FusionModule:
    return built(strategy, task_of(kinds, kind)).eval()


def other(module: FusionModule, size: int = 5) -> MultimodalBatch:
    """Of another size than a graph is made on, shorter, and without the first modality in some rows."""
    batch, first = batch_of(module.task, size, seed=1), module.task.names[0]
    steps = {name: int(mask.sum(1).max()) for name, mask in batch.masks.items()}
    inputs = {name: x[:, : steps.get(name)] if name in steps else x for name, x in batch.inputs.items()}
    masks = {name: mask[:, : steps[name]] for name, mask in batch.masks.items()}
    here = {**batch.present, first: torch.arange(size) > 1}
    return replace(batch, inputs=inputs, masks=masks, present=here)


def said(module: FusionModule, batch: MultimodalBatch) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = module(batch.inputs, batch.masks, batch.present)
    return logits


def of_form(module: FusionModule, name: str, batch: MultimodalBatch) -> Tensor:
    with torch.inference_mode():
        return Forms(module, batch_of(module.task, 2)).made(name).bound(batch, 1)()


@needs_onnx
@pytest.mark.parametrize("strategy", EIGHT)
def test_graphs_say_what_the_model_says_and_eight_bits_nearly(strategy: str) -> None:
    module = made(strategy)
    batch, forms = other(module), Forms(module, batch_of(module.task, 2))
    with torch.inference_mode():
        for name in ("eager", "torch-export", "onnx"):
            form = forms.made(name)
            assert form.bytes
            torch.testing.assert_close(form.bound(batch, 1)(), said(module, batch), atol=NEAR, rtol=NEAR)
        rounded = forms.made("int8").bound(batch, 1)()
    assert 0 < (rounded - said(module, batch)).abs().max() < 0.2 * said(module, batch).abs().max()


@needs_onnx
def test_recurrences_and_bags_have_an_onnx_form() -> None:
    module = made("concat", ("tokens", "bag"))
    batch = other(module)
    torch.testing.assert_close(of_form(module, "onnx", batch), said(module, batch), atol=NEAR, rtol=NEAR)


def test_numbers_come_in_the_datas_unit() -> None:
    module = made("gated", KINDS, "regression")
    assert module.target_scale is not None
    module.target_scale.mean.fill_(1000.0)
    module.target_scale.deviation.fill_(50.0)
    batch = other(module)
    found = of_form(module, "torch-export", batch)
    assert (found > 500).all()
    torch.testing.assert_close(found, said(module, batch), atol=NEAR, rtol=NEAR)


def test_a_file_says_what_it_is_and_holds_no_sample() -> None:
    module = made("concat")
    sample = batch_of(module.task, 2)
    sample.inputs["m1"] += 12345.0
    name = Path(concat.__file__).name
    graph = exported(module, sample)
    content = program_bytes(graph, {"key": "abc"})
    assert torch.tensor(12345.0).numpy().tobytes() not in content
    assert name.encode() not in content  # Nor where the code lies that made it.
    assert json.dumps({"key": "abc"}).encode() in content
    entries = {entry.name: (entry.dtype, entry.shape) for entry in graph.entries}
    assert entries["m0"] == ("float32", ("batch", "steps", 3))
    assert entries["m0.mask"] == ("bool", ("batch", "steps"))
    assert entries["m1"] == ("float32", ("batch", 5))
    assert entries["m1.present"] == ("bool", ("batch",))


@needs_onnx
def test_the_names_of_an_onnx_file_are_those_of_the_modalities() -> None:
    import onnx

    module = made("concat")
    model = onnx.load_from_string(onnx_bytes(exported(module, batch_of(module.task, 2)), {"key": "abc"}))
    assert [one.name for one in model.graph.input] == ["m0", "m1", "m0.mask", "m0.present", "m1.present"]
    assert [one.name for one in model.graph.output] == ["logits"]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"fusionbench": '{"key": "abc"}'}
    assert not any(node.metadata_props for node in model.graph.node)


class Branching(torch.nn.Module):
    """What it does depends on a number that it has computed."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def test_what_cannot_be_recorded_is_a_line_that_says_why() -> None:
    module = made("concat")
    module.head = torch.nn.Sequential(Branching(), torch.nn.Linear(16, 3))
    eager, graph = made_forms("own", Forms(module, batch_of(module.task, 2)), ("eager", "torch-export"))
    assert eager.form is not None
    assert graph.form is None
    assert graph.reason.startswith("no graph of it can be made:")
    assert "\n" not in graph.reason
    with pytest.raises(UserError, match="no graph"):
        exported(module, batch_of(module.task, 2))


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("strategy", names("strategy"))
@pytest.mark.parametrize("kinds", [("sequence", "image"), ("tokens", "bag", "vector")])
def test_every_strategy_has_an_onnx_form(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    if reason := refusal(strategy, task_of(kinds)):
        pytest.skip(reason)
    module = made(strategy, kinds)
    batch = other(module)
    if strategy in WITHOUT_ONNX:
        with pytest.raises(UserError, match="no ONNX form of it can be made") as told:
            of_form(module, "onnx", batch)
        assert WITHOUT_ONNX[strategy] in str(told.value)
        assert len(str(told.value).splitlines()) == 1
        return
    torch.testing.assert_close(of_form(module, "onnx", batch), said(module, batch), atol=NEAR, rtol=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["late_transformer", "early_transformer", "gated_cross_attention"])
def test_masks_that_let_in_more_steps_are_compiled(strategy: str) -> None:
    """Padded masks gave C++ that g++ refused, for batches of some sizes."""
    module = made(strategy)
    batch = other(module)
    torch.testing.assert_close(of_form(module, "compiled", batch), said(module, batch), atol=NEAR, rtol=NEAR)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("strategy", EIGHT)
def test_eight_are_compiled_and_have_eight_bits(strategy: str) -> None:
    module = made(strategy)
    batch = other(module)
    found = {one.name: one for one in made_forms(strategy, Forms(module, batch_of(module.task, 2)), FORMS)}
    assert {name: one.reason for name, one in found.items() if one.form is None} == {}
    own = said(module, batch)
    with torch.inference_mode():
        outputs = {name: one.form.bound(batch, 1)() for name, one in found.items() if one.form is not None}
    torch.testing.assert_close(outputs["compiled"], own, atol=NEAR, rtol=NEAR)
    assert (outputs["int8"] - own).abs().max() < 0.2 * own.abs().max()
