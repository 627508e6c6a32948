"""Contract point 11 over every strategy: on stored encodings it is what it is on live frozen encoders."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.errors import UserError
from fusionbench.fusion._stages import level_vectors
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked
from fusionbench.testing.cases import STORED
from fusionbench.testing.samples import batch_of, logits_of, task_of
from fusionbench.testing.stored import Held, check_stored, frozen, frozen_setting, samples_of, with_encodings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode"),  # Frozen encoders are, for good.
    pytest.mark.filterwarnings("ignore:`LightningModule.configure_optimizers` returned `None`"),  # `chance` has none.
]
STRATEGIES = names("strategy")
TASK = task_of(("sequence", "image"))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", STORED)
def test_stored_encodings_give_the_logits_and_the_first_losses_of_live_ones(strategy: str, case: str) -> None:
    kinds, kind, options = STORED[case]
    task = task_of(kinds, kind)
    setting = frozen_setting(task, options)
    reason = load("strategy", strategy).unsuitable(setting)
    if reason or not describe("strategy", strategy).facts.get("cacheable", True):
        pytest.skip(f"{strategy}: {reason or 'runs live'}")
    check_stored(partial(frozen, strategy, setting), samples_of(task))


def test_those_that_cannot_say_so_and_why() -> None:
    """A fact that plans read without importing; `early` never runs where encoders are frozen, and says why."""
    cannot = {name for name in STRATEGIES if describe("strategy", name).facts.get("cacheable", True) is False}
    assert cannot == {"early", "channel_attention"}
    assert cannot == {name for name in STRATEGIES if not load("strategy", name).cacheable}
    reason = load("strategy", "early").unsuitable(frozen_setting(task_of(("vector", "vector"))))
    assert reason == "its one encoder reads all modalities at once; those here are trained or frozen for one each"


def test_those_that_read_hidden_layers_say_so_where_plans_can_read_it() -> None:
    for name in STRATEGIES:
        assert describe("strategy", name).facts.get("reads_stages", False) is load("strategy", name).reads_stages


def test_what_trains_encoders_says_why_it_does_not_run_where_they_are_frozen() -> None:
    setting = frozen_setting(task_of(("vector", "vector")))
    reasons = {name: load("strategy", name).unsuitable(setting) for name in STRATEGIES}
    found = {name for name, reason in reasons.items() if "here encoders are frozen: they stay as they are" in reason}
    assert found == {"agm", "alternating", "mmpareto", "ogm_ge", "pmr", "unimodal_teachers"}
    assert found == {name for name in STRATEGIES if describe("strategy", name).facts.get("trains_encoders") is True}


def test_a_modality_that_is_not_stored_is_encoded_live() -> None:
    module, batch = frozen("concat", frozen_setting(TASK)), batch_of(TASK)
    whole = with_encodings(module, Held(batch, TASK)).batch(np.arange(len(batch)))
    batch.encoded = {"m0": whole.encoded["m0"]}
    del batch.inputs["m0"]
    assert torch.equal(logits_of(module, batch), logits_of(module, whole))


def test_encodings_that_are_stored_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = frozen("concat", frozen_setting(TASK))
    batch = with_encodings(module, Held(batch_of(TASK), TASK)).batch(np.arange(6))
    expected = logits_of(module, batch)
    for encoder in cast(list[torch.nn.Module], list(module.encoders.values())):
        monkeypatch.setattr(encoder, "forward", None)
    assert torch.equal(logits_of(module, batch), expected)


def test_one_that_runs_live_says_so_where_inputs_are_not_there() -> None:
    module = frozen("channel_attention", frozen_setting(TASK))
    batch = with_encodings(module, Held(batch_of(TASK), TASK)).batch(np.arange(6))
    with pytest.raises(UserError, match="'m0' has a stored encoding and no input here; a strategy that needs inputs"):
        module.predict(batch)


class Sound(FusionModule):
    """Concatenation: nothing wrong with it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction(self.head(self.joined(encoded)))

    def joined(self, encoded: dict[str, Encoded]) -> Tensor:
        return stacked(encoded)[0].flatten(1)


class ReadsInputs(Sound):
    """Its loss wants to know how large the inputs are."""

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        return super().loss(prediction, batch) + batch.inputs["m0"].mean()


class ReadsHiddenLayers(Sound):
    """Reads what only a strategy gets that says so."""

    def joined(self, encoded: dict[str, Encoded]) -> Tensor:
        return torch.cat([level_vectors(one, 2)[0] if name == "m0" else one.pooled for name, one in encoded.items()], 1)


class ReadsMaps(Sound):
    """Says so, but reads more of a picture's hidden layer than its vector."""

    reads_stages = True

    def joined(self, encoded: dict[str, Encoded]) -> Tensor:
        stage, present = encoded["m1"].stages[0], encoded["m1"].present
        extent = stage.flatten(1).amax(1, keepdim=True) * present[:, None]
        return stacked(encoded)[0].flatten(1) * (1 + extent)


class EncodesWhatIsAbsent(Sound):
    """Goes by what is stored, not by what the batch says is there."""

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        return batch.encoded or super().encode(batch)


class DrawsByTheMask(Sound):
    """What it draws in training depends on whether the batch has masks."""

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        torch.rand(len(batch.masks) + 1)
        return super().loss(prediction, batch)


def made(kind: type[Sound]) -> FusionModule:
    torch.manual_seed(0)
    return kind(frozen_setting(TASK))


def test_a_sound_strategy_passes() -> None:
    check_stored(partial(made, Sound), samples_of(TASK))


@pytest.mark.parametrize(
    ("broken", "error", "reason"),
    [
        (ReadsInputs, KeyError, "m0"),
        (ReadsHiddenLayers, AssertionError, "logits on stored and live encodings differ"),
        (ReadsMaps, AssertionError, "logits on stored and live encodings differ"),
        (EncodesWhatIsAbsent, AssertionError, "logits of samples that lose a modality later"),
        (DrawsByTheMask, AssertionError, "the loss of the first steps on stored and live encodings differ"),
    ],
)
def test_one_that_cannot_run_on_stored_encodings_is_found(
    broken: type[Sound], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        check_stored(partial(made, broken), samples_of(TASK))
