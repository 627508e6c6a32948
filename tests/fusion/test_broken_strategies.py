"""Tests of the contract's checks: a strategy with a known mistake has to fail the check that is there for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked
from fusionbench.testing.samples import HEAD_WIDTH, WIDTH, batch_of, setting_of, task_of
from fusionbench.testing.scale import SAMPLES, check_scale, check_scale_of_fusion, unit_normal
from fusionbench.testing.sizes import check_matching, check_size
from fusionbench.testing.strategies import (
    check_learning,
    check_logits,
    check_missing_modalities,
    check_modalities_matter,
    check_samples_are_independent,
)

TASK = task_of(("sequence", "sequence"))
BATCH = batch_of(TASK, size=16)
DOC = "Whatever.\n\nParameters: (M*D+1)*W\n    + (W+1)*C\nFLOPs: 2*(M*D*W + W*C)\nSource: none."


class Sound(FusionModule):
    """Concatenation: nothing wrong with it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = mlp_head(len(setting.task.names) * setting.width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction(self.head(self.joined(stacked(encoded)[0])))

    def joined(self, pooled: Tensor) -> Tensor:
        return pooled.flatten(1)


class ConstantFactor(Sound):
    """Keeps a tensor in a plain list: neither trained nor saved."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.factors = [torch.randn(setting.width)]

    def joined(self, pooled: Tensor) -> Tensor:
        return (pooled * self.factors[0]).flatten(1)


class HiddenFactor(Sound):
    """Hides a tensor that needs gradients where no attribute shows it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        factor = torch.randn(setting.width, requires_grad=True)

        def scale(pooled: Tensor) -> Tensor:
            return pooled * factor

        self.scale = scale

    def joined(self, pooled: Tensor) -> Tensor:
        return self.scale(pooled).flatten(1)


class UnusedLayer(Sound):
    """Registers a layer and forgets it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.forgotten = nn.Linear(3, 3)


class AcrossTheBatch(Sound):
    """Attends to the other samples of the batch in place of the other modality."""

    def joined(self, pooled: Tensor) -> Tensor:
        rows = pooled.flatten(1)
        return (rows @ rows.t()).softmax(-1) @ rows


class BatchStatistics(Sound):
    """Standardises by the mean of the batch."""

    def joined(self, pooled: Tensor) -> Tensor:
        return (pooled - pooled.mean(0)).flatten(1)


class PaddedMean(Sound):
    """Takes the mean over padded steps too."""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction(self.head(torch.cat([one.tokens.mean(1) for one in encoded.values()], 1)))


class OneIgnored(Sound):
    """Looks at the first modality only."""

    def joined(self, pooled: Tensor) -> Tensor:
        return torch.cat([pooled[:, 0], torch.zeros_like(pooled[:, 1])], 1)


class AbsentLeaks(Sound):
    """Encodes what stands in the place of an absent modality and multiplies by 0: NaN * 0 is NaN."""

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        encoded = {}
        for name, encoder in self.encoders.items():
            present = batch.present[name]
            one = encoder(batch.inputs[name], batch.masks.get(name), present)
            encoded[name] = Encoded(one.pooled * present[:, None], one.tokens, one.mask, present)
        return encoded


class SoftmaxOverNothing(Sound):
    """Shares trust among the modalities that have steps; a modality without any makes it NaN."""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        pooled = []
        for one in encoded.values():
            scores = one.tokens.sum(-1).masked_fill(~one.mask, -torch.inf).softmax(-1)
            pooled.append((one.tokens * scores[..., None]).sum(1))
        return Prediction(self.head(torch.cat(pooled, 1)))


class OneMoreLayer(Sound):
    """Has a layer that its formula leaves out."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.more = nn.Linear(WIDTH, WIDTH, bias=False)

    def joined(self, pooled: Tensor) -> Tensor:
        return self.more(pooled).flatten(1)


class TwiceTheWork(Sound):
    """Runs its head twice."""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction((super().fuse(encoded).logits + super().fuse(encoded).logits) / 2)


class FixedHead(Sound):
    """Its head is as wide as its author liked."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(replace(setting, head_width=HEAD_WIDTH))


class OtherWithoutMemory(Sound):
    """Has another layer where it is built without memory: its count is not that of the model that trains."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if self.head[1].weight.is_meta:
            self.more = nn.Linear(WIDTH, WIDTH)


class TooSmall(Sound):
    """Multiplies by a small number what its head reads, after it was normalised."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head[0].register_forward_hook(lambda _, __, output: 0.01 * output)


class OwnHead(Sound):
    """Classifies by layers of its own from what is as large as it happens to be."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = nn.Sequential(*self.head[1:])


class NearlyConstant(Sound):
    """Its own constant is so much larger than what the samples differ by that normalising leaves the constant."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.constant = nn.Parameter(100 * torch.randn(len(setting.task.names) * setting.width))

    def joined(self, pooled: Tensor) -> Tensor:
        return pooled.flatten(1) + self.constant


class NotANumber(Sound):
    """Takes the logarithm of what may be negative."""

    def joined(self, pooled: Tensor) -> Tensor:
        return (pooled - 1).log().flatten(1)


def test_a_sound_strategy_passes_every_check() -> None:
    module = Sound(setting_of(TASK))
    check_logits(module, BATCH)
    check_samples_are_independent(module, BATCH)
    check_modalities_matter(module, BATCH)
    check_missing_modalities(module, BATCH)
    check_size(module, DOC, {}, BATCH)
    check_learning(module, BATCH)
    check_matching(Sound, DOC, {}, setting_of(TASK))
    check_scale(module, batch_of(TASK, SAMPLES))
    assert sum(p.numel() for p in module.head.parameters()) == (2 * WIDTH + 1) * HEAD_WIDTH + (HEAD_WIDTH + 1) * 3


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (ConstantFactor, "not registered, so neither trained nor saved: factors"),
        (HiddenFactor, "depends on a tensor that is not registered"),
        (UnusedLayer, "never changed: forgotten.weight, forgotten.bias"),
    ],
)
def test_a_tensor_that_does_not_learn_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_learning(broken(setting_of(TASK)), BATCH)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (AcrossTheBatch, "depends on its batch mates"),
        (BatchStatistics, "depends on its batch mates"),
        (PaddedMean, "the length of the padding matters"),
    ],
)
def test_a_sample_that_sees_others_or_padding_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_samples_are_independent(broken(setting_of(TASK)), BATCH)


def test_an_ignored_modality_is_found() -> None:
    with pytest.raises(AssertionError, match="'m1' does not matter"):
        check_modalities_matter(OneIgnored(setting_of(TASK)), BATCH)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(AbsentLeaks, "inf in the place of a missing modality is seen"), (SoftmaxOverNothing, "are not finite where")],
)
def test_a_leak_from_a_missing_modality_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_missing_modalities(broken(setting_of(TASK)), BATCH)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(OneMoreLayer, "467 parameters, formula 403"), (TwiceTheWork, "FLOPs per sample, formula 760")],
)
def test_a_wrong_count_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_size(broken(setting_of(TASK)), DOC, {}, BATCH)


@pytest.mark.parametrize(
    ("broken", "reason"), [(FixedHead, "out of reach: the width of the head"), (OtherWithoutMemory, "without memory")]
)
def test_a_number_of_parameters_that_the_head_does_not_reach_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_matching(broken, DOC, {}, setting_of(TASK))


def test_a_formula_without_the_head_is_found() -> None:
    with pytest.raises(AssertionError, match="the width of the head changes nothing"):
        check_matching(Sound, "Whatever.\n\nParameters: M*D*D\n", {}, setting_of(TASK))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (TooSmall, "the input of 'head.0' has a size of 0.0"),
        (NearlyConstant, "the input of 'head.0' has a size of 0.0"),
        (OwnHead, "it has no head whose input is normalised"),
    ],
)
def test_a_signal_of_no_usual_size_is_found(broken: type[FusionModule], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_scale(broken(setting_of(TASK)), batch_of(TASK, SAMPLES))
    with pytest.raises(AssertionError, match=reason):
        check_scale_of_fusion(broken(setting_of(TASK)), unit_normal(TASK.names, WIDTH, 0))


def test_a_missing_formula_is_found() -> None:
    with pytest.raises(AssertionError, match="no line 'Parameters:'"):
        check_size(Sound(setting_of(TASK)), "Nothing said.", {}, BATCH)


def test_logits_that_are_no_numbers_are_found() -> None:
    with pytest.raises(AssertionError, match="not finite"):
        check_logits(NotANumber(setting_of(TASK)), BATCH)
