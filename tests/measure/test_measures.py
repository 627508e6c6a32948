"""Size against counts by hand; latency against calls of known length."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.data.digits import Digits
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.compact_bilinear import CompactBilinearFusion
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.early import EarlyFusion
from fusionbench.measure import latency
from fusionbench.measure.size import count_flops
from fusionbench.measure.size import measure as measure_size
from fusionbench.plan.suite import Choice

ENCODERS = {name: Choice("mlp", {"width": 8, "depth": 1}) for name in ("left", "right")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    found = Digits(Path(tmp_path_factory.mktemp("data")))
    found.setup()
    return found


def setting(data: Digits) -> Setting:
    return Setting(data.task, ENCODERS, width=8, head_width=16)


def test_size_counts_what_a_hand_counts(data: Digits) -> None:
    model = ConcatFusion(setting(data))
    found = measure_size(model.train(), data.batch(np.arange(3)))
    assert found["fusion_parameters"] == (16 + 1) * 16 + (16 + 1) * 10
    assert found["encoder_parameters"] == 2 * (32 + 1) * 8
    assert found["trained_parameters"] == found["fusion_parameters"] + found["encoder_parameters"]
    assert found["fusion_flops_per_sample"] == 2 * (16 * 16 + 16 * 10)
    assert found["flops_per_sample"] == found["fusion_flops_per_sample"] + 2 * 2 * 32 * 8
    assert model.training


def test_bytes_on_disk_are_those_of_a_file_of_weights_but_for_its_header(data: Digits) -> None:
    model = ConcatFusion(setting(data))
    file = save(dict(model.state_dict()))
    header = 8 + int.from_bytes(file[:8], "little")  # The format's own: a length, then JSON.
    assert measure_size(model, data.batch(np.arange(3)))["disk_bytes"] == len(file) - header


@pytest.mark.parametrize("training", [False, True])
def test_flops_of_attention_are_counted_although_torch_hides_them(training: bool) -> None:
    batch, steps, width = 2, 5, 8
    attention = nn.MultiheadAttention(width, 2, batch_first=True).train(training)
    x = torch.randn(batch, steps, width)
    projections = 4 * 2 * batch * steps * width * width
    scores_and_values = 2 * 2 * batch * steps * steps * width
    assert count_flops(lambda: attention(x, x, x, need_weights=False)) == projections + scores_and_values


@pytest.mark.parametrize("size", [8, 12])
def test_flops_of_fourier_transforms_are_five_n_log_n_and_half_of_it_for_real_numbers(size: int) -> None:
    x = torch.randn(3, 2, size)
    spectrum = torch.fft.rfft(x)
    whole = 3 * 2 * 5 * size * math.log2(size)
    assert count_flops(lambda: torch.fft.rfft(x)) == round(whole / 2)
    assert count_flops(lambda: torch.fft.irfft(spectrum, n=size)) == round(whole / 2)
    assert count_flops(lambda: torch.fft.fft(x + 0j)) == round(whole)
    # Over two dimensions: 2 transforms of `size` entries, then `size` of 2.
    assert count_flops(lambda: torch.fft.fft2(x + 0j)) == round(
        3 * 5 * (2 * size * math.log2(size) + size * 2 * math.log2(2))
    )


@pytest.mark.parametrize("training", [False, True])
def test_flops_of_an_embedding_bag_are_those_of_its_sum(training: bool) -> None:
    bag = nn.EmbeddingBag(10, 4, mode="sum").train(training).requires_grad_(training)
    ids, weights = torch.tensor([[1, 2, 3], [2, 3, 4]]), torch.ones(2, 3)
    assert count_flops(lambda: bag(ids)) == 2 * 3 * 4
    assert count_flops(lambda: bag(ids, per_sample_weights=weights)) == 2 * 2 * 3 * 4


def test_flops_of_compact_bilinear_are_those_of_its_transforms_and_its_head(data: Digits) -> None:
    found = measure_size(CompactBilinearFusion(setting(data), sketch=64), data.batch(np.arange(3)))
    transforms = (2 + 1) * 2.5 * 64 * 6
    assert found["fusion_flops_per_sample"] == pytest.approx(transforms + 2 * (64 * 16 + 16 * 10), abs=1)


def test_flops_of_a_convolution_are_those_of_its_formula() -> None:
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(2, 3, 6, 6)
    assert count_flops(lambda: convolution(x)) == 2 * 2 * 4 * 36 * 3 * 9


def test_counting_leaves_torch_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    with pytest.raises(ZeroDivisionError):
        count_flops(lambda: 1 // 0)
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled) == before


class Sleeper(FusionModule):
    """Takes at least as long as it says."""

    seconds = 0.002

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        time.sleep(self.seconds)
        return Prediction(torch.zeros(1, 10))


def session(modules: dict[str, FusionModule], data: Digits, **options: Any) -> list[dict[str, Any]]:
    batches = {size: data.batch(np.arange(size)) for size in (1, 64)}
    rng = np.random.default_rng(0)
    return latency.measure(modules, batches, rng, lambda done, total: None, **options)


def test_latency_has_a_row_per_strategy_scope_batch_and_threads_and_orders_strategies_rightly(data: Digits) -> None:
    modules = {"sleeper": Sleeper(setting(data)), "concat": ConcatFusion(setting(data))}
    rows = session(modules, data, seconds=0.06, threads=(1, 2))
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["threads"] for row in rows} == {1, 2}
    for row in rows:
        assert row["rounds"] == 3
        assert row["calls"] >= 3
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert row["spread"] >= 0
        assert row["strategy"] != "sleeper" or row["p10_ms"] >= 2.0


def test_a_full_session_times_at_least_200_calls(data: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "FULL_SECONDS", 0.01)
    rows = session({"sleeper": Sleeper(setting(data))}, data, seconds=0.01, threads=(1,), batch_sizes=(1,))
    assert all(row["calls"] >= 200 for row in rows)


def test_input_stage_fusion_has_no_row_for_the_fusion_alone(data: Digits) -> None:
    rows = session({"early": EarlyFusion(setting(data))}, data, seconds=0.01, threads=(1,))
    assert {row["scope"] for row in rows} == {"end_to_end"}


def test_strategies_are_interleaved_anew_in_every_round(data: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def note(call: Any, seconds: float, calls: int) -> list[float]:
        order.append(call.__defaults__[0].label)
        return [1.0]

    monkeypatch.setattr(latency, "_timed", note)
    modules: dict[str, FusionModule] = {}
    for name in "abcdef":
        modules[name] = Sleeper(setting(data))
        modules[name].label = name  # type: ignore[assignment]
    session(modules, data, threads=(1,), batch_sizes=(1,))
    rounds = [order[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(one) == sorted("abcdef" * 2) for one in rounds)
    assert rounds[0] != rounds[1]
    assert rounds[0] != sorted(rounds[0])
