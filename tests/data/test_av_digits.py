"""Audio-visual digits: the official split, pairs that stay, and noise that is the same for everybody."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from spoken_folder import lay_out, made, ready, small

from fusionbench.core.errors import UserError
from fusionbench.data.av_digits import SPECTROGRAM, AVDigits
from fusionbench.data.pairs import paired_by_class
from fusionbench.data.spoken_digits import FOLDER, RATE, names
from fusionbench.fusion.base import Optimiser, Setting
from fusionbench.fusion.unimodal import Unimodal
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import Choice
from fusionbench.training.fit import evaluate, fit

REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="the real recordings: set FUSIONBENCH_TEST_DATA to their folder")
PARTS = ("train", "validation", "test")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(monkeypatch)
    lay_out(tmp_path, made())
    return tmp_path


@pytest.fixture(scope="module")
def real_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real recordings, and a folder of its own for what is made of them."""
    folder = tmp_path_factory.mktemp("data")
    (folder / FOLDER).symlink_to(Path(REAL or "") / FOLDER)
    ready(folder)
    return folder


def rows_of(data: AVDigits, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The recordings, the pictures and the labels of a part's pairs."""
    rows = getattr(data.parts, part)
    return data.pairs.first[rows], data.pairs.second[rows], data.pairs.targets[rows]


def check_split(data: AVDigits, counts: tuple[int, int, int], test_takes: set[int]) -> None:
    """Each recording once, pictures in one part only, both of a pair of its class, the official test takes."""
    assert data.parts
    assert tuple(data.parts.counts[part] for part in PARTS) == counts
    found = {part: rows_of(data, part) for part in PARTS}
    assert sorted(np.concatenate([first for first, _, _ in found.values()])) == list(range(sum(counts)))
    pictures = [set(second.tolist()) for _, second, _ in found.values()]
    assert len(set.union(*pictures)) == sum(map(len, pictures))
    for first, second, targets in found.values():
        assert (data.arrays["spoken"][first] == targets).all()
        assert (data.arrays["written"][second] == targets).all()
        for label in range(10):
            times = Counter(second[targets == label].tolist()).values()
            assert max(times) - min(times) <= 1
    assert set(data.arrays["takes"][found["test"][0]].tolist()) == test_takes
    assert max(Counter(found["test"][1].tolist()).values()) == 1


def test_pairs_are_of_one_class_and_keep_to_their_parts(root: Path) -> None:
    for seed in (0, 1):
        check_split(ready(root, seed), (90, 10, 100), set(range(5)))


@needs_real_data
def test_the_real_split_is_the_official_one(real_root: Path) -> None:
    check_split(ready(real_root, 3), (2430, 270, 300), set(range(5)))


def test_test_pairs_never_move_and_the_seed_draws_the_others(root: Path) -> None:
    first, second, noisy = ready(root), ready(root, 1), ready(root, 1, audio_noise=1.0, image_noise=0.2)
    assert first.parts
    assert second.parts
    assert noisy.parts
    assert first.parts.test_sha256 == second.parts.test_sha256 == noisy.parts.test_sha256
    assert first.parts.sha256 != second.parts.sha256 == noisy.parts.sha256
    again = ready(root)
    assert again.parts
    assert again.parts.sha256 == first.parts.sha256


@needs_real_data
def test_the_real_arrays_and_test_pairs_are_those_of_every_machine(real_root: Path) -> None:
    data = ready(real_root)
    assert data.parts
    assert data.fingerprint.startswith("55f99df15da48739")
    assert data.parts.test_sha256.startswith("1cda98c2a5d18cad")
    assert ready(real_root, audio_noise=2.0, image_noise=0.15).fingerprint.startswith("bc6fba47c2bf3cdd")


def test_a_batch_is_what_the_task_says(root: Path) -> None:
    data = ready(root)
    rows = np.array([3, 150, 42])
    batch, bare = data.batch(rows), data.labels(rows)
    assert {name: tuple(x.shape) for name, x in batch.inputs.items()} == {"audio": (3, 26, 24), "image": (3, 1, 8, 8)}
    assert batch.targets.tolist() == bare.targets.tolist() == data.pairs.targets[rows].tolist()
    assert torch.equal(batch.inputs["audio"], data.tensors["audio"][data.pairs.first[rows]])
    assert bare.inputs == {}


def test_training_rows_have_one_scale_in_every_band_and_in_all_pixels(root: Path) -> None:
    data = ready(root)
    first, second, _ = rows_of(data, "train")
    heard = data.tensors["audio"][np.unique(first)].reshape(-1, SPECTROGRAM.bands)
    torch.testing.assert_close(heard.mean(0), torch.zeros(SPECTROGRAM.bands), atol=1e-4, rtol=0)
    torch.testing.assert_close(heard.var(0, correction=0), torch.ones(SPECTROGRAM.bands), atol=1e-3, rtol=0)
    seen = data.tensors["image"][np.unique(second)]
    assert abs(float(seen.mean())) < 1e-4
    assert float(seen.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_noise_of_a_sound_is_as_loud_as_it_says_and_goes_on_behind_it(root: Path) -> None:
    data = AVDigits(root, audio_noise=2.0)
    tone = np.sin(np.arange(4000) * 0.5)
    noise = data._noisy_sound(7, tone) - np.pad(tone, (0, 2400))
    assert len(noise) == SPECTROGRAM.seconds * RATE
    loudness = 2.0 * np.sqrt(np.mean(tone**2))
    assert [part.std() for part in (noise[:4000], noise[4000:])] == pytest.approx([loudness] * 2, rel=0.05)
    assert (data._noisy_sound(7, tone) == AVDigits(root, 5, audio_noise=2.0)._noisy_sound(7, tone)).all()
    assert not (data._noisy_sound(8, tone) == data._noisy_sound(7, tone)).any()


def test_noise_of_a_picture_is_a_fraction_of_its_range(root: Path) -> None:
    clean, noisy, other = ready(root), ready(root, image_noise=0.25), ready(root, 1, image_noise=0.25)
    difference = noisy.arrays["image"].astype(float) - clean.arrays["image"]
    assert difference.std() == pytest.approx(0.25 * 16, rel=0.02)
    assert (noisy.arrays["image"] == other.arrays["image"]).all()
    assert (noisy.arrays["audio"] == clean.arrays["audio"]).all()
    assert len({clean.fingerprint, noisy.fingerprint}) == 2


@pytest.mark.parametrize("option", ["audio_noise", "image_noise"])
@pytest.mark.parametrize("value", [-0.1, 101.0, float("nan")])
def test_noise_that_is_none_is_refused(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"av_digits: option {option}: .* is not in 0 .. 100"):
        AVDigits(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("first", "second"), [(12, 5), (5, 12), (4, 4)])
def test_pairs_by_class_use_every_second_sample_about_equally_often(first: int, second: int) -> None:
    of_first, of_second = np.repeat([0, 1], first), np.repeat([1, 0], second)
    pairs = paired_by_class(np.arange(2 * first), np.arange(2 * second), of_first, of_second, np.random.default_rng(0))
    assert (pairs.first == np.arange(2 * first)).all()
    assert (of_second[pairs.second] == of_first).all()
    times = np.bincount(pairs.second, minlength=2 * second)
    assert times.max() - times.min() <= 1


def test_files_are_named_by_digit_speaker_and_take() -> None:
    assert len(names()) == 3000
    assert [names()[i] for i in (0, 50, 300, 2999)] == [
        "0_george_0.wav",
        "0_jackson_0.wav",
        "1_george_0.wav",
        "9_yweweler_49.wav",
    ]


@needs_real_data
def test_sound_alone_tells_nine_of_ten_real_digits(real_root: Path) -> None:
    data = ready(real_root)
    data.batch_size = 64
    encoders = {"audio": Choice("logmel_cnn", {"width": 64, "channels": (8, 16, 32)})}
    torch.manual_seed(0)
    module = Unimodal(Setting(data.task, encoders, 64, 64, optimiser=Optimiser(3e-3)), modality="audio")
    budget = Budget(epochs=6, batch_size=64)
    fit(module, data, budget, lambda epoch, scores: None)
    assert evaluate(module, data, budget).scores["test/accuracy"] >= 0.9
