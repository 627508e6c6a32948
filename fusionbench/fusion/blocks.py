"""Layers that several strategies share: public, for strategies of your own too.

Letters: B samples, M modalities, T steps, D the encoders' width, X and Y any widths, C classes, W the head's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.fusion.base import Setting


class HeadNorm(nn.Module):
    """What an MLP head reads, brought to one size: LayerNorm without weights, each part of the input by itself.

        z_p = (x_p - mean(x_p)) / sqrt(var(x_p) + 1e-5)     of each part p, mean and variance over its units

    The same for every strategy: else one budget, and one learning rate, would rank the sizes of the first signals, not
    mechanisms. A part is a modality, where several stand side by side: an absent one, all zeros, stays exactly zero,
    and no modality's size enters another's. A part of one unit is left as it is. No parameters.

    The protocol's one change to every method: `faithful` means the paper's formula up to it, and docstrings write it as
    LN in front of what an MLP reads. `setting.head_norm = False` (a suite's `budget.head_norm`) takes it away.
    Where weights by sample are scored from encodings, the same layer stands in front of the score.
    """

    def __init__(self, parts: Sequence[int], setting: Setting) -> None:
        super().__init__()
        self.parts, self.on = list(parts), setting.head_norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, X) -> (B, X), X the sum of the parts."""
        if not self.on:
            return x
        if len(set(self.parts)) == 1:
            return self._normalised(x.reshape(*x.shape[:-1], len(self.parts), -1)).flatten(-2)
        return torch.cat([self._normalised(part) for part in torch.split(x, self.parts, -1)], -1)

    @staticmethod
    def _normalised(x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:]) if x.shape[-1] > 1 else x


def mlp_head(inputs: int | Sequence[int], setting: Setting) -> nn.Sequential:
    """HeadNorm, Linear(X, W), ReLU, dropout, `class_layer`: (X+1)*W + (W+1)*C parameters.

    Args:
        inputs: X; or the widths of parts that stand side by side, each normalised by itself, which add up to X.
        setting: the head's width, dropout and classes, and whether what it reads is normalised.
    """
    parts = [inputs] if isinstance(inputs, int) else inputs
    hidden, last = nn.Linear(sum(parts), setting.head_width), class_layer(setting.head_width, setting)
    return nn.Sequential(HeadNorm(parts, setting), hidden, nn.ReLU(), nn.Dropout(setting.dropout), last)


def wide_head(
    strategy: str, inputs: Sequence[int], setting: Setting, encoders: nn.Module, widening: int, parameters: int | None
) -> nn.Sequential:
    """An `mlp_head` with `widening` times the common width, or as wide as `parameters` allow, encoders included.

    Raises:
        UserError: `widening` is below 1, or `parameters` are too few for one hidden unit.
    """
    at_least(strategy, "widening", widening, 1)
    width = widening * setting.head_width
    if parameters is not None:
        classes, before = setting.task.classes, sum(parameter.numel() for parameter in encoders.parameters())
        unit = sum(inputs) + 1 + classes
        width = round((parameters - before - classes) / unit)
        at_least(strategy, "parameters", parameters, before + classes + unit)
    return mlp_head(inputs, replace(setting, head_width=width))


def class_layer(inputs: int, setting: Setting) -> nn.Linear:
    """Linear(inputs, C): (inputs+1)*C parameters.

    Of a multilabel task the bias starts at -log(C - 1), where every class has the chance 1/C: one label a sample.
    From zero, thousands of biases would have to fall by about 8 before anything else is learned, at Adam's step size
    thousands of steps, and a learning rate that is large enough for that breaks attention and products (Lin et al.
    2017, arXiv:1708.02002, start from a prior for the same reason).
    """
    last = nn.Linear(inputs, setting.task.classes)
    if setting.task.kind == "multilabel" and setting.task.classes > 1:
        nn.init.constant_(last.bias, -math.log(setting.task.classes - 1))
    return last


def stacked(encoded: dict[str, Encoded]) -> tuple[Tensor, Tensor]:
    """All modalities side by side: pooled (B, M, D), absent ones zero, and present, bool (B, M)."""
    pooled = torch.stack([one.pooled for one in encoded.values()], 1)
    present = torch.stack([one.present for one in encoded.values()], 1)
    return pooled, present


def each(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """Every modality through its own layer: (B, M, X) -> (B, M, Y)."""
    return torch.stack([layer(v) for layer, v in zip(layers, x.unbind(1), strict=True)], 1)


def present_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """A softmax over the modalities that are there, in float32: scores and present, bool, (B, M) -> (B, M)."""
    # The lowest number, not -inf: a sample without any modality then gives equal weights, not NaN.
    scores = scores.float()
    return scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(1)


def present_mean(values: Tensor, present: Tensor) -> Tensor:
    """The mean over the modalities that are there: values (B, M, X), present bool (B, M) -> (B, X)."""
    weight = present[..., None].to(values.dtype)
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean over real steps, zeros where there are none: tokens (B, T, X), mask bool (B, T) -> (B, X)."""
    weight = mask[..., None].to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


def at_least(strategy: str, option: str, value: int, lowest: int) -> None:
    """Refuse an option that is too small.

    Raises:
        UserError: value < lowest.
    """
    if value < lowest:
        raise UserError(f"strategy '{strategy}': {option} is {value}; it must be an integer of at least {lowest}")


def below_one(strategy: str, option: str, value: float) -> None:
    """Refuse a probability of leaving something out that is none, or leaves nothing.

    Raises:
        UserError: value < 0 or value >= 1.
    """
    if not 0 <= value < 1:
        raise UserError(f"strategy '{strategy}': {option} is {value}; it must be at least 0 and below 1")


def heads_divide(strategy: str, heads: int, width: int) -> None:
    """Refuse a number of heads that cannot share the width out.

    Raises:
        UserError: heads < 1, or width is no multiple of it.
    """
    at_least(strategy, "heads", heads, 1)
    if width % heads:
        allowed = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
        raise UserError(f"strategy '{strategy}': heads is {heads}; it must divide the width {width}: {allowed}")


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """A softmax over the last dimension, over what is real; zeros where nothing is. Both (B, T) -> (B, T)."""
    anyone = mask.any(-1, keepdim=True)
    # A softmax over nothing is NaN, and so is its gradient: where nothing is real all are let in, then dropped.
    return scores.masked_fill(~(mask | ~anyone), -torch.inf).softmax(-1) * anyone


def small_normal(*shape: int) -> nn.Parameter:
    """Learned tokens and embeddings, drawn from N(0, 0.02^2)."""
    return nn.Parameter(0.02 * torch.randn(*shape))
