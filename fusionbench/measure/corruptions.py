"""Corruptions of one modality by severity, from 0 (nothing is changed) to 1.

    image      gaussian    noise of 2 s deviations of each channel
               blur        a Gaussian of s/4 of the shorter side
               occlusion   a square with a share s of the area, at any place, takes each channel's mean
    vector     gaussian    noise of 2 s deviations of each number
               dropout     each number takes its mean with probability s
    sequence   gaussian    as of vectors, in every real frame
               dropout     each real frame takes the mean frame with probability s
    tokens     drop        each token goes with probability s, one stays; those behind close up
               swap        each token is chosen with probability s; the chosen ones change places among themselves
               unknown     each token becomes id 1, the unknown one of our subwords, with probability s
    bag        drop        each entry goes with probability s, one stays
    audio      noise       sound of the data's own mean spectrum is added, at a signal-to-noise ratio of
                           -20 log10(2 s) dB: 14 at severity .1, 0 at .5, -6 at 1
               dropout     each frame takes the mean frame with probability s
    text       typing      each character is with probability s/2 typed wrongly: left out, doubled, exchanged with the
                           next, or that of a neighbouring key

A log-mel spectrogram y is brought back to power, P = exp(y), and gets what noise of power N has in each frame and band:

    y' = ln(P + N_b g),   N_b = (2 s)^2 * (mean over the sound's frames of sum_b P) * (share of band b in the data)

with g of chi-squared / 4 with 4 degrees of freedom. What sound and noise do together, whose mean is 0, is left out.

Means and deviations are those of rows that are not tested. What is drawn depends on the data, the row, the modality,
the corruption and the severity alone, so a row is the same in every batch, for every strategy and worker.

Source: none; kinds of noise as in Hendrycks & Dietterich 2019, arXiv:1903.12261, and Liang et al. 2021,
arXiv:2107.07502, strengths are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.row_numbers import row_generators
from fusionbench.core.task import ModalityKind, ModalitySpec
from fusionbench.data.standard import Standardiser
from fusionbench.measure.typing_errors import mistyped

Values = NDArray[Any]
BY_KIND: Mapping[ModalityKind, tuple[str, ...]] = {
    "image": ("gaussian", "blur", "occlusion"),
    "vector": ("gaussian", "dropout"),
    "sequence": ("gaussian", "dropout"),
    "tokens": ("drop", "swap", "unknown"),
    "bag": ("drop",),
    "audio": ("noise", "dropout"),
    "text": ("typing",),
}
STRONGEST, SIDE, UNKNOWN = 2.0, 4, 1
FREEDOM = 4
"""How even the noise of a sound is from frame to frame: a band holds about two frequencies, of two degrees each."""


@dataclass(frozen=True)
class Spread:
    """Of a modality's numbers: of each feature or channel."""

    mean: Values
    deviation: Values
    scale: Standardiser | None = None
    """Of sounds: what brought their spectrograms to one scale; None: they are as they were taken."""
    shares: Values = field(default_factory=lambda: np.zeros(0))
    """Of sounds: of the power of all rows, the share of each band."""


def corrupted(
    batch: MultimodalBatch, spec: ModalitySpec, how: str, severity: float, seed: int, spread: Spread | None
) -> MultimodalBatch:
    """The batch with one modality corrupted; the same batch at severity 0.

    Args:
        batch: with the modality's inputs.
        spec: of the modality.
        how: one of `BY_KIND`.
        severity: in [0, 1].
        seed: of the data.
        spread: of pictures, vectors, sequences and sounds.
    """
    if severity == 0:
        return batch
    x, mask = batch.inputs[spec.name].numpy(), batch.masks.get(spec.name)
    real = _real(x, spec, None if mask is None else mask.numpy())
    draws = row_generators(["corruption", seed, spec.name, how, f"{severity:.6f}"], batch.ids.tolist())
    rows, kept = [], []
    for values, inside, rng in zip(x, real, draws, strict=True):
        found, left = _one(values, inside, spec, how, severity, rng, spread)
        rows.append(found)
        kept.append(left)
    masks = {} if mask is None else {spec.name: torch.from_numpy(np.stack(kept))}
    inputs = {spec.name: torch.from_numpy(np.stack(rows))}
    return replace(batch, inputs={**batch.inputs, **inputs}, masks={**batch.masks, **masks})


def spread_of(batch: MultimodalBatch, spec: ModalitySpec, scale: Standardiser | None = None) -> Spread | None:
    """Mean and deviation over samples that have the modality, and over real frames or all pixels; None of symbols.

    Args:
        batch: rows that are not tested.
        spec: of the modality.
        scale: what brought a sound's spectrogram to one scale, where anything did.
    """
    if spec.kind not in ("image", "vector", "sequence", "audio"):
        return None
    x = batch.inputs[spec.name].numpy()[batch.present[spec.name].numpy()].astype(np.float64)
    if spec.kind in ("sequence", "audio"):
        mask = batch.masks.get(spec.name)
        x = x.reshape(-1, x.shape[-1]) if mask is None else x[mask.numpy()[batch.present[spec.name].numpy()]]
    axes = (0, 2, 3) if spec.kind == "image" else 0
    shape = (-1, 1, 1) if spec.kind == "image" else (-1,)
    mean, deviation = (of.reshape(shape).astype(np.float32) for of in (x.mean(axes), x.std(axes)))
    if spec.kind != "audio":
        return Spread(mean, deviation)
    power = _power(x, scale).mean(0)
    return Spread(mean, deviation, scale, power / power.sum())


def _real(x: Values, spec: ModalitySpec, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Which steps are real, (B, T); of pictures and vectors, whatever."""
    inside = np.ones(x.shape[:2], dtype=np.bool_) if mask is None else mask
    if spec.kind in ("tokens", "text"):
        return inside & (x != 0)
    return inside & (x[..., 0] != 0) if spec.kind == "bag" else inside


def _one(
    x: Values,
    real: NDArray[np.bool_],
    spec: ModalitySpec,
    how: str,
    severity: float,
    rng: np.random.Generator,
    spread: Spread | None,
) -> tuple[Values, NDArray[np.bool_]]:
    """One sample and which of its steps are real then."""
    match spec.kind:
        case "image" | "vector":
            assert spread is not None
            return _numbers(x, how, severity, rng, spread, spec.kind).astype(x.dtype), real
        case "sequence" | "audio":
            assert spread is not None
            found = x.copy()
            inside = x[real]
            if how == "noise":
                found[real] = _noisy_sound(inside, severity, rng, spread)
                return found, real
            lost = rng.random(len(inside)) < severity
            noise = STRONGEST * severity * spread.deviation * rng.standard_normal(inside.shape, dtype=np.float32)
            found[real] = inside + noise if how == "gaussian" else np.where(lost[:, None], spread.mean, inside)
            return found, real
        case "text":
            return mistyped(x, severity / 2, rng)
        case _:
            return _symbols(x, real, how, severity, rng)


def _power(x: Values, scale: Standardiser | None) -> Values:
    """What a spectrogram (..., F) is the logarithm of; a band that never changed in training is at its mean."""
    if scale is None:
        return np.asarray(np.exp(x.astype(np.float64)))
    spread = np.divide(1.0, scale.factor, out=np.zeros_like(scale.factor), where=scale.factor > 0)
    return np.asarray(np.exp(x * spread + scale.mean))


def _noisy_sound(x: Values, severity: float, rng: np.random.Generator, spread: Spread) -> Values:
    """The real frames (t, F) of a sound with noise added."""
    power = _power(x, spread.scale)
    loudness = (STRONGEST * severity) ** 2 * power.sum(1).mean()
    drawn = rng.chisquare(FREEDOM, size=x.shape) / FREEDOM
    found = np.log(power + loudness * spread.shares * drawn)
    return (found if spread.scale is None else spread.scale(found)).astype(np.float32)


def _numbers(x: Values, how: str, severity: float, rng: np.random.Generator, spread: Spread, kind: str) -> Values:
    if how == "gaussian":
        return x + STRONGEST * severity * spread.deviation * rng.standard_normal(x.shape, dtype=np.float32)
    if kind == "vector":
        return np.where(rng.random(x.shape) < severity, spread.mean, x)
    height, width = x.shape[1:]
    if how == "blur":
        sigma = severity * min(height, width) / SIDE
        return np.asarray(gaussian_filter(x, sigma=(0, sigma, sigma), mode="nearest"))
    high, wide = (max(1, round(side * severity**0.5)) for side in (height, width))
    top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
    found = x.copy()
    found[:, top : top + high, left : left + wide] = spread.mean
    return found


def _symbols(
    x: Values, real: NDArray[np.bool_], how: str, severity: float, rng: np.random.Generator
) -> tuple[Values, NDArray[np.bool_]]:
    """Token ids (T,), or entries of a bag (T, 2)."""
    inside = x[real]
    chosen = rng.random(len(inside)) < severity
    found, left = x.copy(), real.copy()
    if how == "drop":
        if chosen.all() and len(chosen):
            chosen[rng.integers(len(chosen))] = False
        stay = inside[~chosen]
        found[:], left[:] = 0, False
        found[: len(stay)], left[: len(stay)] = stay, True
        return found, left
    moved = inside.copy()
    if how == "unknown":
        moved[chosen] = UNKNOWN
    else:
        moved[chosen] = inside[chosen][rng.permutation(int(chosen.sum()))]
    found[real] = moved
    return found, left
