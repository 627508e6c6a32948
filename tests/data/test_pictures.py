"""Picture files of any size, orientation and colours; what is none is told in a line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from fusionbench.core.errors import UserError
from fusionbench.data import pictures
from fusionbench.data.pictures import read_picture

SKY = np.linspace(0, 255, 90 * 60 * 3).reshape(60, 90, 3).astype(np.uint8)
"""Wider than high, and another at each place."""


def saved(folder: Path, values: np.ndarray, name: str = "a.png", **options: Any) -> Path:
    Image.fromarray(values).save(folder / name, **options)
    return folder / name


def test_the_square_from_the_middle_is_made_smaller_as_torchvision_does_it(tmp_path: Path) -> None:
    found = read_picture(saved(tmp_path, SKY), 20, 3)
    assert (str(found.dtype), found.shape) == ("uint8", (3, 20, 20))
    steps = v2.Compose([v2.CenterCrop(60), v2.Resize((20, 20), v2.InterpolationMode.BICUBIC, antialias=True)])
    expected = steps(torch.from_numpy(SKY).permute(2, 0, 1))
    assert np.abs(found.astype(int) - expected.numpy().astype(int)).max() <= 1


def test_a_picture_of_its_size_is_as_it_was_and_a_small_one_is_made_larger(tmp_path: Path) -> None:
    values = SKY[:, :60]
    np.testing.assert_array_equal(read_picture(saved(tmp_path, values), 60, 3), np.moveaxis(values, 2, 0))
    assert read_picture(saved(tmp_path, values[:1, :3]), 32, 3).shape == (3, 32, 32)


def test_it_is_upright_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned a quarter to the right, to be upright.
    path = saved(tmp_path, SKY[:, :60], exif=exif)
    np.testing.assert_array_equal(read_picture(path, 60, 3), np.moveaxis(np.rot90(SKY[:, :60], -1), 2, 0))


def test_grey_is_grey_in_every_channel_and_colours_are_grey_where_one_channel_is_wanted(tmp_path: Path) -> None:
    grey = SKY[:, :60, 0]
    np.testing.assert_array_equal(read_picture(saved(tmp_path, grey), 60, 3), np.stack([grey] * 3))
    np.testing.assert_array_equal(read_picture(saved(tmp_path, grey), 60, 1), grey[None])
    colours = saved(tmp_path, SKY[:, :60])
    np.testing.assert_array_equal(read_picture(colours, 60, 1)[0], np.asarray(Image.open(colours).convert("L")))


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    values = np.dstack([SKY[:, :60], np.full((60, 60), 255, dtype=np.uint8)])
    values[:30, :, 3] = 0
    found = read_picture(saved(tmp_path, values), 60, 3)
    assert (found[:, :30] == 255).all()
    np.testing.assert_array_equal(found[:, 30:], np.moveaxis(SKY[30:, :60], 2, 0))
    palette = Image.fromarray(SKY[:, :60]).quantize(8)
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((0, 0)))
    assert read_picture(tmp_path / "p.png", 60, 3)[:, 0, 0].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    values = np.arange(60 * 60, dtype=np.uint16).reshape(60, 60) * 18
    found = read_picture(saved(tmp_path, values, "deep.png"), 60, 1)
    np.testing.assert_allclose(found[0], values / 257, atol=1)


@pytest.mark.parametrize("form", ["jpeg", "webp", "bmp", "gif", "tiff", "ppm"])
def test_other_forms_are_read_whatever_their_name(form: str, tmp_path: Path) -> None:
    flat = np.full((50, 70, 3), (200, 40, 90), dtype=np.uint8)
    Image.fromarray(flat).save(tmp_path / "x.dat", format=form)
    assert np.abs(read_picture(tmp_path / "x.dat", 16, 3).mean((1, 2)) - [200, 40, 90]).max() < 8


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(tmp_path: Path) -> None:
    wave = (127 + 120 * np.sin(np.arange(1200) / 90)).astype(np.uint8)
    values = np.stack([np.tile(wave, (1200, 1)), np.tile(wave[:, None], (1, 1200)), np.full((1200, 1200), 90)], 2)
    values = values.astype(np.uint8)
    jpeg, png = saved(tmp_path, values, "a.jpg", quality=95), saved(tmp_path, values)
    assert np.abs(read_picture(jpeg, 64, 3).astype(int) - read_picture(png, 64, 3).astype(int)).max() < 12


def bomb(path: Path, side: int) -> Path:
    """A PNG of a few bytes that says it is of so many pixels a side."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("side", [9_000, 12_000, 100_000])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(side: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b.png: .*pixels"):
        read_picture(bomb(tmp_path / "b.png", side), 64, 3)


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    whole = saved(tmp_path, SKY).read_bytes()
    path = tmp_path / "b.png"
    for content, told in (
        (b"", "no picture; give one of JPEG, PNG"),
        (b"GIF89a what", "b.png: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture; give one of"),
        (whole[: len(whole) // 2], "b.png: .*truncated"),
        (whole[:60] + b"\0" * 40 + whole[100:], "b.png: "),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=told):
            read_picture(path, 64, 3)
    assert pictures.MOST_PIXELS < 9_000**2
