"""What single strategies promise beyond the contract: option ranges, priors, numerics, ways of joining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskKind, TaskSpec
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.chance import Chance
from fusionbench.fusion.early import EarlyFusion
from fusionbench.fusion.unimodal_ensemble import UnimodalEnsemble
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, setting_of, task_of

PAIR = task_of(("vector", "vector"))


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("sum", {"hidden": 0}, ["'sum'", "hidden is 0", "at least 1"]),
        ("gated", {"hidden": -3}, ["'gated'", "hidden is -3", "at least 1"]),
        ("low_rank", {"rank": 0}, ["'low_rank'", "rank is 0", "at least 1"]),
        ("low_rank", {"hidden": 0}, ["'low_rank'", "hidden is 0", "at least 1"]),
        ("cross_attention", {"layers": 0}, ["'cross_attention'", "layers is 0", "at least 1"]),
        ("cross_attention", {"heads": 0}, ["'cross_attention'", "heads is 0", "at least 1"]),
        ("cross_attention", {"heads": 3}, ["'cross_attention'", "heads is 3", f"width {WIDTH}", "1, 2, 4, 8"]),
        ("unimodal", {"modality": "m9"}, ["no modality 'm9'", "m0, m1"]),
        ("concat_wide", {"widening": 0}, ["'concat_wide'", "widening is 0", "at least 1"]),
        ("concat_wide", {"parameters": 99}, ["'concat_wide'", "parameters is 99", "at least 119"]),
        ("unimodal_wide", {"modality": "m0", "parameters": 9}, ["'unimodal_wide'", "parameters is 9", "at least 63"]),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_value_and_range(
    strategy: str, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(PAIR), **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_cross_attention_needs_a_second_modality() -> None:
    assert "two modalities" in load("strategy", "cross_attention").unsuitable(setting_of(task_of(("vector",))))


@pytest.mark.parametrize(("strategy", "unit"), [("concat_wide", 2 * WIDTH + 1 + 3), ("unimodal_wide", WIDTH + 1 + 3)])
def test_a_wide_baseline_has_as_many_parameters_in_all_as_it_is_given(strategy: str, unit: int) -> None:
    options = {"modality": "m1"} if strategy == "unimodal_wide" else {}
    for parameters in (200, 12_345):
        module = load("strategy", strategy)(setting_of(PAIR), parameters=parameters, **options)
        assert abs(sum(p.numel() for p in module.parameters()) - parameters) <= unit / 2


def test_chance_is_uniform_before_any_data_and_smoothed_after() -> None:
    chance = built("chance", PAIR)
    assert isinstance(chance, Chance)
    batch = batch_of(PAIR)
    np.testing.assert_allclose(logits_of(chance, batch).exp().numpy(), np.full((6, 3), 1 / 3), rtol=1e-6)
    chance.count(torch.tensor([0, 0, 0, 1]))
    np.testing.assert_allclose(logits_of(chance, batch)[0].exp().numpy(), np.array([4, 2, 1]) / 7, rtol=1e-6)


def test_chance_gives_each_label_its_own_prior() -> None:
    task = task_of(("vector",), "multilabel")
    chance = built("chance", task)
    assert isinstance(chance, Chance)
    assert logits_of(chance, batch_of(task)).eq(0).all()
    chance.count(torch.tensor([[1.0, 0, 0], [1, 1, 0]]))
    found = expit(logits_of(chance, batch_of(task))[0].double().numpy())
    np.testing.assert_allclose(found, np.array([3, 2, 1]) / 4, rtol=1e-6)


class Given(torch.nn.Module):
    """Stands for a classifier: gives what it was told, whatever it is asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def ensemble_logits(kind: TaskKind, logits: Tensor, present: Tensor) -> np.ndarray[Any, Any]:
    """The ensemble of members with these logits (B, M, C)."""
    module = UnimodalEnsemble(setting_of(task_of(("vector", "vector"), kind)))
    encoded = {}
    for i, name in enumerate(module.task.names):
        module.heads[name] = Given(logits[:, i])
        nothing = torch.zeros(len(logits), 1, WIDTH)
        encoded[name] = Encoded(nothing[:, 0], nothing, present[:, i : i + 1], present[:, i])
    return module.fuse(encoded).logits.double().numpy()


@pytest.mark.parametrize("scale", [1.0, 50.0, 1000.0])
def test_the_ensemble_is_the_mean_probability_however_sure_its_members(scale: float) -> None:
    logits = scale * torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[True, True], [True, False], [False, True], [True, True]])
    z, some = logits.double().numpy(), present.numpy()[..., None]
    count = some.sum(1)
    log_p = z - logsumexp(z, axis=2, keepdims=True)
    expected = logsumexp(np.where(some, log_p, -np.inf), axis=1) - np.log(count)
    np.testing.assert_allclose(ensemble_logits("multiclass", logits, present), expected, rtol=1e-5, atol=1e-5)
    yes = logsumexp(np.where(some, -np.logaddexp(0, -z), -np.inf), axis=1)
    no = logsumexp(np.where(some, -np.logaddexp(0, z), -np.inf), axis=1)
    np.testing.assert_allclose(ensemble_logits("multilabel", logits, present), yes - no, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_ensemble_without_any_modality_is_undecided_not_nan(kind: TaskKind) -> None:
    found = ensemble_logits(kind, torch.randn(2, 2, 3), torch.zeros(2, 2, dtype=torch.bool))
    assert np.isfinite(found).all()
    assert (found == found[:, :1]).all()


def early(*specs: ModalitySpec, encoders: tuple[str, ...]) -> EarlyFusion:
    setting = setting_of(PAIR)
    choices = {s.name: replace(setting.encoders["m0"], name=e) for s, e in zip(specs, encoders, strict=True)}
    return EarlyFusion(replace(setting, task=TaskSpec(specs, 3), encoders=choices))


def test_early_stacks_pictures_of_one_size_along_their_channels() -> None:
    task = task_of(("image", "image", "image"))
    module, batch = built("early", task).eval(), batch_of(task)
    assert list(module.encoders) == ["joint"]
    expected = module.encoders["joint"](torch.cat(list(batch.inputs.values()), 1), None, batch.present["m0"])
    torch.testing.assert_close(module.encode(batch)["joint"].pooled, expected.pooled)


def test_early_lays_everything_else_flat_for_an_mlp() -> None:
    task = task_of(("image", "vector", "sequence"))
    module = built("early", task)
    assert module.encoders["joint"].spec == ModalitySpec("joint", "vector", (2 * 4 * 4 + 5 + 4 * 3,))
    pictures = early(
        ModalitySpec("a", "image", (1, 8, 4)), ModalitySpec("b", "image", (1, 4, 4)), encoders=("mlp",) * 2
    )
    assert pictures.encoders["joint"].spec.shape == (32 + 16,)


def test_early_takes_the_common_encoder_where_it_reads_the_joint_input() -> None:
    specs = ModalitySpec("a", "vector", (3,)), ModalitySpec("b", "vector", (4,))
    assert type(early(*specs, encoders=("linear", "linear")).encoders["joint"]).__name__ == "Linear"
    assert type(early(*specs, encoders=("linear", "mlp")).encoders["joint"]).__name__ == "MLP"


class Recorder(Encoder):
    """Stands for an encoder of tokens: keeps what it was given."""

    kinds = ("tokens",)

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        self.ids, self.real = x, mask
        nothing = torch.zeros(*x.shape, WIDTH)
        return Encoded(nothing[:, 0], nothing, present[:, None].expand_as(x), present)


def test_early_puts_tokens_of_one_vocabulary_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EarlyFusion, "_encoder", lambda self, spec, choice: Recorder(spec, WIDTH))
    module = early(
        ModalitySpec("a", "tokens", (3,), 50), ModalitySpec("b", "tokens", (2,), 50), encoders=("lstm", "mlp")
    )
    recorder = module.encoders["joint"]
    assert isinstance(recorder, Recorder)
    assert recorder.spec == ModalitySpec("joint", "tokens", (5,), 50)
    inputs = {"a": torch.tensor([[7, 8, 9], [1, 2, 3]]), "b": torch.tensor([[4, 5], [6, 6]])}
    masks = {"a": torch.tensor([[True, True, False], [True, True, True]])}
    assert module(inputs, masks, {"b": torch.tensor([True, False])}).shape == (2, 3)
    assert recorder.ids.tolist() == [[7, 8, 4, 5, 0], [1, 2, 3, 0, 0]]
    assert recorder.real is not None
    assert recorder.real.int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]


def test_early_refuses_token_ids_beside_numbers_and_says_which() -> None:
    specs = ModalitySpec("words", "tokens", (9,), 50), ModalitySpec("x", "vector", (4,))
    with pytest.raises(UserError, match="'words': token ids cannot be joined"):
        early(*specs, encoders=("mlp", "mlp"))


def test_early_refuses_a_text_and_says_which() -> None:
    specs = ModalitySpec("review", "text", (90,)), ModalitySpec("x", "vector", (4,))
    with pytest.raises(UserError, match="'review': a text cannot be joined with anything before it is read"):
        early(*specs, encoders=("mlp", "mlp"))


def test_early_refuses_an_input_of_another_shape_than_declared() -> None:
    task = task_of(("vector", "sequence"))
    module, batch = built("early", task), batch_of(task)
    batch.inputs["m1"] = torch.randn(6, 9, 3)
    batch.masks["m1"] = torch.ones(6, 9, dtype=torch.bool)
    with pytest.raises(UserError, match=r"'m1' comes as \(9, 3\), declared as \(4, 3\)"):
        module.predict(batch)
