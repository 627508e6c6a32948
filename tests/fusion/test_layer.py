"""A strategy as a layer over the user's own vectors or tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskKind
from fusionbench.fusion.layer import layer

WIDTHS = {"image": 6, "text": 4}
ONE_TRUE_CLASS = ("conflictive", "evidential", "pmr", "pseudo_view", "quality_aware")
"""They refuse tasks of several labels a sample."""
FITTED = ("logistic_regression", "stacking")
"""They are solved for behind encoders that stay; a layer's projections learn."""


def options_for(strategy: str) -> dict[str, str]:
    by = describe("strategy", strategy).facts.get("per_modality")
    return {str(by): "image"} if by else {}


@pytest.mark.parametrize("strategy", [name for name in names("strategy") if name not in FITTED])
def test_every_strategy_is_a_layer_over_vectors(strategy: str) -> None:
    fusion = layer(strategy, widths=WIDTHS, classes=5, width=8, head_width=7, options=options_for(strategy))
    logits = fusion({"image": torch.randn(3, 6), "text": torch.randn(3, 4)})
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("strategy", [name for name in names("strategy") if name not in ("early", *FITTED)])
def test_every_strategy_but_early_takes_tokens_with_masks_and_presence(strategy: str) -> None:
    kind: TaskKind = "multiclass" if strategy in ONE_TRUE_CLASS else "multilabel"
    fusion = layer(strategy, widths=WIDTHS, classes=5, kind=kind, width=8, options=options_for(strategy)).eval()
    inputs = {"image": torch.randn(3, 6), "text": torch.randn(3, 9, 4)}
    masks = {"text": torch.arange(9) < torch.tensor([[9], [2], [5]])}
    present = {"image": torch.tensor([True, False, True])}
    before = fusion(inputs, masks, present)
    inputs["text"][~masks["text"]] = torch.nan
    inputs["image"][1] = torch.nan
    torch.testing.assert_close(fusion(inputs, masks, present), before)


def test_early_says_that_it_takes_no_tokens_here() -> None:
    fusion = layer("early", widths=WIDTHS, classes=5)
    with pytest.raises(UserError, match=r"'text' comes as \(9, 4\), declared as \(4,\)"):
        fusion({"image": torch.randn(3, 6), "text": torch.randn(3, 9, 4)})


def test_a_layer_trains_inside_a_model_of_ones_own() -> None:
    torch.manual_seed(0)
    fusion = layer("gated", widths=WIDTHS, classes=2, width=16, options={"hidden": 16})
    own = nn.Linear(3, 6)
    x, text = torch.randn(64, 3), torch.randn(64, 4)
    labels = ((x[:, 0] > 0) ^ (text[:, 0] > 0)).long()
    adam = torch.optim.Adam([*own.parameters(), *fusion.parameters()], lr=1e-2)
    for _ in range(150):
        loss = F.cross_entropy(fusion({"image": own(x), "text": text}), labels)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    assert loss.item() < 0.1


def test_widths_are_those_asked_for() -> None:
    fusion = layer("concat", widths=WIDTHS, classes=5, width=8, head_width=7)
    assert [tuple(p.shape) for p in fusion.head.parameters()] == [(7, 16), (7,), (5, 7), (5,)]  # type: ignore[union-attr]
    assert fusion.encoders["text"].project.weight.shape == (8, 4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("strategy", "widths", "options", "message"),
    [
        ("gatd", WIDTHS, {}, "did you mean 'gated'"),
        ("gated", WIDTHS, {"hiden": 3}, "did you mean 'hidden'"),
        ("gated", WIDTHS, {"hidden": "3"}, "hidden"),
        ("gated", {}, {}, "must be positive"),
        ("gated", {"image": 0}, {}, "must be positive"),
        ("cross_attention", {"image": 3}, {}, "two modalities"),
        ("low_rank", WIDTHS, {"rank": 0}, "rank is 0"),
        ("stacking", WIDTHS, {}, "here the encoders of image, text learn"),
    ],
)
def test_wrong_use_is_one_readable_error(
    strategy: str, widths: dict[str, int], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        layer(strategy, widths=widths, classes=5, options=options)
