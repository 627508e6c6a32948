"""The studentised range: how far the largest and the smallest of K equal means lie apart, in units of their error.

    P(Q <= q) = int f_v(s) R(q s) ds                              s^2 = chi^2_v / v
    R(w)      = K int phi(z) (Phi(z) - Phi(z - w))^(K-1) dz       the range of K normal numbers

scipy has it, at 8 ms a probability and 85 ms a quantile; a report asks for thousands. Here R is tabulated once for each
K, and the outer integral is a sum over quantiles of s. It agrees with scipy's to 1e-6.

Source: Tukey 1953, "The problem of multiple comparisons"; the integral as in scipy.stats.studentized_range.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri, ndtr

from fusionbench.stats.estimate import CONFIDENCE, Floats

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

FARTHEST = 9.0
"""Standard deviations: beyond, a normal number has 1e-19."""
NODES = 160
"""Of both integrals."""
WIDEST = 20.0
"""Of R's table: for any K that is asked for, R is 1 there to the last digit."""
FEWEST_DEGREES = 1.0
"""Of the table of quantiles."""


def survival(q: ArrayLike, count: int, degrees: ArrayLike) -> Floats:
    """P(Q > q) of the range of `count` means whose error has `degrees` of freedom; arrays broadcast."""
    far, given = np.broadcast_arrays(np.asarray(q, dtype=np.float64), np.asarray(degrees, dtype=np.float64))
    return _beyond(far, count, _scales(given))


def critical(count: int, degrees: ArrayLike, level: float = 1 - CONFIDENCE) -> Floats:
    """The q that Q exceeds with probability `level`; degrees from 1 on."""
    return np.asarray(np.exp(_critical(count, level)(1 / np.asarray(degrees, dtype=np.float64))))


def _scales(degrees: Floats) -> Floats:
    """Scales s at the quantiles of a normal number: smooth, and as dense as its distribution; (...) -> (..., NODES)."""
    nodes, _ = _normal_nodes()
    return np.asarray(np.sqrt(chdtri(degrees[..., None], ndtr(-nodes)) / degrees[..., None]))


def _beyond(q: Floats, count: int, scales: Floats) -> Floats:
    _, weights = _normal_nodes()
    beyond = 1 - _range(count)(np.minimum(q[..., None] * scales, WIDEST))
    return np.asarray(np.clip((beyond * weights).sum(-1), 0.0, 1.0))


@lru_cache(maxsize=64)
def _range(count: int) -> CubicSpline:
    """R, from 0 to WIDEST."""
    from scipy.interpolate import CubicSpline  # A third of a second: only where a family is tested.

    w = np.linspace(0, WIDEST, 801)
    nodes, weights = _normal_nodes()
    inside = np.maximum(ndtr(nodes) - ndtr(nodes - w[:, None]), 0)
    return CubicSpline(w, np.minimum(count * (inside ** (count - 1) * weights).sum(1), 1.0))


@lru_cache(maxsize=64)
def _critical(count: int, level: float) -> CubicSpline:
    """The logarithm of the quantile over 1 / degrees, from 0 to 1 in steps that grow."""
    from scipy.interpolate import CubicSpline

    inverse = np.linspace(0, 1, 65) ** 2 / FEWEST_DEGREES
    scales = _scales(1 / np.maximum(inverse, 1e-6))
    low, high = np.zeros_like(inverse), np.full_like(inverse, 7.0)  # Of log q; one degree and many means reach 1,000.
    for _ in range(40):
        middle = (low + high) / 2
        above = _beyond(np.exp(middle), count, scales) > level
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return CubicSpline(inverse, (low + high) / 2)


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Floats, Floats]:
    """Nodes and weights of an expectation over a normal number."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    at = FARTHEST * nodes
    return at, FARTHEST * weights * np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
