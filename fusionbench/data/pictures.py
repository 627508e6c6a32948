"""Picture files: one picture as bytes of one size, whatever size, orientation and colours it was stored with.

The largest square from the middle, made smaller or larger (bicubic), upright as its EXIF says, in RGB or grey; what is
transparent lies on white; of an animation the first frame. A file is read by what it holds, not by its name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fusionbench.core.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Of Pillow's, those that no other program reads for it."""
MOST_PIXELS = 2**26
"""A small file may hold a picture that fills the memory."""


def read_picture(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """A picture, (channels, size, size).

    Args:
        path: of the file.
        size: height and width, in pixels.
        channels: 3 for red, green and blue, 1 for grey.

    Raises:
        UserError: it is no picture, broken, cut short, or too large.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UserError(f"{path}: {image.width:,} x {image.height:,} pixels; at most {MOST_PIXELS:,} are read")
            image.draft(None, (2 * size, 2 * size))  # A JPEG of many times that size is decoded smaller, much faster.
            upright = ImageOps.exif_transpose(image)
            square = ImageOps.fit(_opaque(upright), (size, size), Image.Resampling.BICUBIC)
            found = np.asarray(square.convert("L" if channels == 1 else "RGB"))
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: more pixels than the {MOST_PIXELS:,} that are read at most") from error
    except OSError as error:
        reason = error.strerror or ("no picture" if "identify" in str(error) else str(error))
        raise UserError(f"{path}: {reason}; give one of {', '.join(FORMATS)}, or leave the cell empty") from error
    except Exception as error:  # Whatever a broken file makes a decoder raise.
        raise UserError(f"{path}: a broken picture ({type(error).__name__}: {' '.join(str(error).split())})") from error
    return np.ascontiguousarray(found[None] if channels == 1 else np.moveaxis(found, 2, 0))


def _opaque(image: Image.Image) -> Image.Image:
    """Bytes without transparency: 16 bits and numbers as bytes, transparent pixels on white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        scale = 257.0 if values.max(initial=0) > 255 else 1.0  # Of 16 bits, which Pillow may open as 32.
        return Image.fromarray((values / scale).clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")
