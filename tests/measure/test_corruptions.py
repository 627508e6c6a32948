"""Corruptions: nothing at severity 0, the same for a row wherever it stands, and as strong as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.task import ModalitySpec
from fusionbench.data.standard import Standardiser
from fusionbench.measure.corruptions import BY_KIND, corrupted, spread_of
from fusionbench.measure.typing_errors import mistyped

ROWS = 40
TEXT = "Ein schöner Abend, naïve \U0001f600 and a long enough text to be typed wrongly."
SPECS = {
    "image": ModalitySpec("m", "image", (3, 8, 12)),
    "vector": ModalitySpec("m", "vector", (50,)),
    "sequence": ModalitySpec("m", "sequence", (9, 4)),
    "tokens": ModalitySpec("m", "tokens", (30,), 500),
    "bag": ModalitySpec("m", "bag", (30, 2), 500),
    "audio": ModalitySpec("m", "audio", (20, 8)),
    "text": ModalitySpec("m", "text", (120,)),
}
WAYS = [(kind, how) for kind, ways in BY_KIND.items() for how in ways]


def sample(kind: str, count: int = ROWS) -> MultimodalBatch:
    spec, rng = SPECS[kind], np.random.default_rng(0)
    lengths = torch.from_numpy(rng.integers(5, 9, count))
    masks: dict[str, Tensor] = {}
    if kind in ("tokens", "bag"):
        x = torch.from_numpy(rng.integers(2, 500, (count, 30)))
        x[torch.arange(30)[None] >= 3 * lengths[:, None]] = 0
        if kind == "bag":
            x = torch.stack([x.float(), (x != 0).float() * 0.5], 2)
    elif kind == "text":
        x = torch.zeros(count, 120, dtype=torch.uint8)
        x[:, : len(TEXT.encode())] = torch.from_numpy(np.frombuffer(TEXT.encode(), dtype=np.uint8).copy())
        masks = {"m": x != 0}
    else:
        x = torch.from_numpy(rng.normal(3, 2, (count, *spec.shape)).astype(np.float32))
    if kind == "sequence":
        masks = {"m": torch.arange(9)[None] < lengths[:, None]}
        x = x * masks["m"][..., None]
    here = torch.ones(count, dtype=torch.bool)
    return MultimodalBatch({"m": x}, masks, {"m": here}, torch.zeros(count), torch.arange(100, 100 + count))


def change(batch: MultimodalBatch, kind: str, how: str, severity: float) -> MultimodalBatch:
    return corrupted(batch, SPECS[kind], how, severity, 7, spread_of(sample(kind), SPECS[kind]))


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_severity_0_changes_nothing_and_others_change_something_of_the_same_form(kind: str, how: str) -> None:
    batch = sample(kind)
    assert change(batch, kind, how, 0.0) is batch
    for severity in (0.5, 1.0):
        found = change(batch, kind, how, severity)
        assert found.inputs["m"].shape == batch.inputs["m"].shape
        assert found.inputs["m"].dtype == batch.inputs["m"].dtype
        assert not torch.equal(found.inputs["m"], batch.inputs["m"])
        assert torch.isfinite(found.inputs["m"].float()).all()
    assert torch.equal(batch.inputs["m"], sample(kind).inputs["m"])


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_a_row_is_corrupted_alike_in_every_batch(kind: str, how: str) -> None:
    batch = sample(kind)
    whole, order = change(batch, kind, how, 0.4), torch.tensor([7, 3, 30])
    some = MultimodalBatch(
        {"m": batch.inputs["m"][order]},
        {name: mask[order] for name, mask in batch.masks.items()},
        {"m": batch.present["m"][order]},
        batch.targets[order],
        batch.ids[order],
    )
    found = change(some, kind, how, 0.4)
    assert torch.equal(found.inputs["m"], whole.inputs["m"][order])
    assert all(torch.equal(mask, whole.masks[name][order]) for name, mask in found.masks.items())


def test_gaussian_noise_is_of_twice_the_deviation_at_most() -> None:
    batch = sample("vector", 4000)
    noise = corrupted(batch, SPECS["vector"], "gaussian", 0.5, 7, spread_of(batch, SPECS["vector"]))
    difference = noise.inputs["m"] - batch.inputs["m"]
    assert float(difference.std()) == pytest.approx(0.5 * 2 * 2, rel=0.02)
    assert float(difference.mean()) == pytest.approx(0, abs=0.02)


def test_dropped_numbers_and_frames_take_the_mean() -> None:
    batch = sample("vector")
    spread = spread_of(batch, SPECS["vector"])
    assert spread is not None
    found = change(batch, "vector", "dropout", 1.0).inputs["m"]
    torch.testing.assert_close(found, torch.from_numpy(spread.mean).expand_as(found))
    half = change(batch, "vector", "dropout", 0.5).inputs["m"]
    assert float((half != batch.inputs["m"]).float().mean()) == pytest.approx(0.5, abs=0.05)
    frames = change(sample("sequence"), "sequence", "dropout", 1.0)
    outside = ~sample("sequence").masks["m"]
    assert not frames.inputs["m"][outside].any()


def test_an_occlusion_covers_its_share_of_the_area() -> None:
    batch = sample("image")
    found = change(batch, "image", "occlusion", 0.25).inputs["m"]
    hidden = (found != batch.inputs["m"]).all(1)
    assert hidden.float().mean((1, 2)).tolist() == pytest.approx([4 * 6 / 96] * ROWS)
    assert (change(batch, "image", "occlusion", 1.0).inputs["m"] != batch.inputs["m"]).all()


def test_blur_keeps_the_mean_nearly_and_lowers_the_deviation() -> None:
    batch = sample("image")
    deviations = [float(change(batch, "image", "blur", s).inputs["m"].std()) for s in (0.0, 0.3, 0.6, 1.0)]
    assert deviations == sorted(deviations, reverse=True)


def test_dropped_tokens_close_up_and_one_stays() -> None:
    batch = sample("tokens")
    for severity in (0.3, 1.0):
        found = change(batch, "tokens", "drop", severity).inputs["m"]
        for before, after in zip(batch.inputs["m"], found, strict=True):
            left = after[after != 0].tolist()
            assert after[: len(left)].tolist() == left
            rest = iter(before.tolist())
            assert all(token in rest for token in left)  # In their order.
            assert left if severity < 1 else len(left) == 1
    bag = change(sample("bag"), "bag", "drop", 1.0).inputs["m"]
    assert ((bag[..., 0] != 0).sum(1) == 1).all()
    assert torch.equal(bag[..., 1] != 0, bag[..., 0] != 0)


def test_swapped_tokens_are_the_same_tokens_and_unknown_ones_are_known_to_be() -> None:
    batch = sample("tokens")
    swapped = change(batch, "tokens", "swap", 0.7).inputs["m"]
    assert torch.equal(swapped.sort(1).values, batch.inputs["m"].sort(1).values)
    unknown = change(batch, "tokens", "unknown", 1.0).inputs["m"]
    assert torch.equal(unknown, (batch.inputs["m"] != 0).long())


def test_frames_of_sounds_are_dropped_as_those_of_sequences_are() -> None:
    batch = sample("audio")
    lost = (change(batch, "audio", "dropout", 0.5).inputs["m"] != batch.inputs["m"]).all(2)
    assert float(lost.float().mean()) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("severity", "decibels"), [(0.1, 13.98), (0.5, 0.0), (1.0, -6.02)])
def test_noise_is_added_to_a_sound_at_the_ratio_that_is_said(scaled: bool, severity: float, decibels: float) -> None:
    spec, rng = ModalitySpec("m", "audio", (400, 8)), np.random.default_rng(1)
    logs = rng.normal(-4, 1, (6, 400, 8)) - 0.3 * np.arange(8)
    scale = Standardiser(logs.mean((0, 1)), 1 / logs.std((0, 1))) if scaled else None
    x = torch.from_numpy((scale(logs) if scale else logs).astype(np.float32))
    here = torch.ones(6, dtype=torch.bool)
    batch = MultimodalBatch({"m": x}, {}, {"m": here}, torch.zeros(6), torch.arange(6))
    spread = spread_of(batch, spec, scale)
    assert spread is not None
    assert spread.shares == pytest.approx(np.exp(logs).sum((0, 1)) / np.exp(logs).sum(), rel=1e-4)
    found = corrupted(batch, spec, "noise", severity, 7, spread).inputs["m"].numpy()
    after = np.exp(found / scale.factor + scale.mean) if scale else np.exp(found.astype(np.float64))
    added = after - np.exp(logs)
    assert (added > -1e-4 * np.exp(logs)).all()
    ratio = 10 * np.log10(np.exp(logs).sum((1, 2)) / added.sum((1, 2)))
    assert ratio == pytest.approx(decibels, abs=0.25)
    assert added.sum((0, 1)) / added.sum() == pytest.approx(spread.shares, abs=0.01)  # The data's own spectrum.


def test_a_mistyped_text_is_text_of_about_as_many_right_characters() -> None:
    x = np.zeros(120, dtype=np.uint8)
    x[: len(TEXT.encode())] = np.frombuffer(TEXT.encode(), dtype=np.uint8)
    same, _ = mistyped(x, 0.0, np.random.default_rng(0))
    assert np.array_equal(same, x)
    for seed in range(50):
        found, real = mistyped(x, 0.5, np.random.default_rng(seed))
        assert bytes(found[real]).decode()
        assert not found[~real].any()
    empty, real = mistyped(np.zeros(5, dtype=np.uint8), 1.0, np.random.default_rng(0))
    assert not empty.any()
    assert not real.any()
