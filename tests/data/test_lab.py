"""CIE L*a*b*, against published values and the formula by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fusionbench.data.lab import BLACK, lab_bytes


def one(colour: tuple[int, int, int]) -> list[int]:
    return [int(value) for value in lab_bytes(np.array(colour, dtype=np.uint8).reshape(1, 3, 1, 1)).flatten()]


def by_hand(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """With the white point D65 and the matrix to seven digits, as the sRGB pages print them."""

    def linear(value: int) -> float:
        v = value / 255
        return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4

    def f(t: float) -> float:
        return t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116

    r, g, b = (linear(value) for value in colour)
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    return 116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((255, 255, 0), (97.14, -21.55, 94.48)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
    ],
)
def test_primary_colours_have_the_published_values(
    colour: tuple[int, int, int], lab: tuple[float, float, float]
) -> None:
    assert one(colour) == [round(2.55 * lab[0]), round(lab[1]) + 128, round(lab[2]) + 128]


def test_any_colour_is_the_formulas_to_the_rounding_of_a_byte() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (2000, 3))
    found = lab_bytes(colours.astype(np.uint8)[..., None, None])[..., 0, 0].astype(float)
    expected = np.array([by_hand(tuple(colour)) for colour in colours.tolist()])
    difference = np.abs(found / [2.55, 1, 1] - [0, 128, 128] - expected)
    assert (difference.max(0) <= [0.5 / 2.55 + 0.03, 0.53, 0.53]).all()


def test_greys_have_no_colour_and_rise_with_their_brightness() -> None:
    greys = lab_bytes(np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3, 1, 1))[..., 0, 0]
    assert (greys[:, 1:] == 128).all()
    assert (np.diff(greys[:, 0].astype(int)) >= 0).all()
    assert (greys[0, 0], greys[255, 0]) == (0, 255)


def test_black_is_what_padding_is_filled_with() -> None:
    assert one((0, 0, 0)) == BLACK.tolist()


def test_no_colour_leaves_the_bytes() -> None:
    corners = np.stack(np.meshgrid(*[[0, 64, 128, 192, 255]] * 3), -1).reshape(-1, 3)
    exact = np.array([by_hand(tuple(colour)) for colour in corners.tolist()])
    assert exact[:, 1:].min() > -128
    assert exact[:, 1:].max() < 127


def test_a_pixel_knows_nothing_of_its_neighbours() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    found = lab_bytes(pictures)
    assert found.shape == pictures.shape
    assert found[1, :, 3, 2].tolist() == one(tuple(pictures[1, :, 3, 2].tolist()))
