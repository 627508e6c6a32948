"""Size: parameters of the fusion, of what only its training needs and of the encoders, FLOPs per sample, disk space.

    FLOPs: 2 for each multiply-add of matrix products, convolutions, attention and embedding bags (a bag without weights
    adds only: 1); 5 n log2(n) for a Fourier transform of n complex numbers, half of it for real ones; element-wise work
    and embeddings, which are looked up, are not counted.
    Those of the fusion: after the encoders, and between their layers what is not the encoders' own.

    Bytes on disk: of all tensors that predictions need, frozen encoders' too, as they are in a file of weights.

torch's counter sees operators, so paths that hide them are turned off for the count: the fused attention of
`nn.MultiheadAttention` in eval mode and mkldnn report 0 otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fusionbench.core.batch import MultimodalBatch
from fusionbench.fusion.base import FusionModule

Shape = Sequence[int]


def _fourier(each: float, x: Shape, dimensions: Sequence[int], *_: object, out_shape: Shape) -> int:
    """FLOPs of Fourier transforms: `each` n log2(n) for the n entries along the dimensions."""
    whole = max(x, out_shape, key=math.prod)  # Of real numbers only half of the spectrum is kept.
    return round(each * math.prod(whole) * math.log2(math.prod(whole[d] for d in dimensions)))


def _bag(_: Shape, ids: Shape, *more: Any, out_shape: Sequence[Shape]) -> int:
    """FLOPs of an embedding bag; the last of offsets, by_frequency, mode, sparse and weights may be None."""
    weights = more[4] if len(more) > 4 else None
    return (1 if weights is None else 2) * math.prod(ids) * out_shape[0][1]


MORE = {
    torch.ops.aten._fft_r2c: partial(_fourier, 2.5),
    torch.ops.aten._fft_c2r: partial(_fourier, 2.5),
    torch.ops.aten._fft_c2c: partial(_fourier, 5.0),
    torch.ops.aten._embedding_bag: _bag,
    torch.ops.aten._embedding_bag_forward_only: _bag,
}
"""Operators that torch's counter leaves out."""


def measure(module: FusionModule, batch: MultimodalBatch) -> dict[str, Any]:
    """Parameter counts, FLOPs per sample and bytes on disk of one model.

    Args:
        module: the model; is left in the mode it was in.
        batch: some samples of its data.
    """
    encoders = sum(parameter.numel() for parameter in module.encoders.parameters())
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    training = module.training
    module.eval()
    with torch.inference_mode():
        encoded = module.encode(batch)
    flops = count_flops(lambda: module.predict(batch))
    fusion_flops = count_flops(lambda: module.fuse(encoded)) + _between_layers(module, batch)
    module.train(training)
    return {
        "fusion_parameters": fusion_parameters(module),
        "training_parameters": training_parameters(module),
        "encoder_parameters": encoders,
        "trained_parameters": trained,
        "flops_per_sample": flops / len(batch),
        "fusion_flops_per_sample": fusion_flops / len(batch),
        "disk_bytes": disk_bytes(module),
    }


def fusion_parameters(module: FusionModule) -> int:
    """The parameters of all that predicts and is not an encoder."""
    total = sum(parameter.numel() for parameter in module.parameters())
    encoders = sum(parameter.numel() for parameter in module.encoders.parameters())
    return total - encoders - training_parameters(module)


def training_parameters(module: FusionModule) -> int:
    """The parameters of what only training needs, such as heads for a loss of each modality."""
    parts = [module.get_submodule(path) for path in module.training_only]
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def disk_bytes(module: FusionModule) -> int:
    """Of all tensors of its state but for those that only training needs; a file has a header besides."""
    tensors, left = module.state_dict(), tuple(f"{path}." for path in module.training_only)
    return sum(one.numel() * one.element_size() for name, one in tensors.items() if not name.startswith(left))


def _between_layers(module: FusionModule, batch: MultimodalBatch) -> int:
    """FLOPs that a strategy adds while each modality is encoded; an encoder of a joint input is but an encoder."""
    if type(module).encode is FusionModule.encode or not set(module.encoders) <= set(batch.inputs):
        return 0
    alone = count_flops(lambda: FusionModule.encode(module, batch))
    return count_flops(lambda: module.encode(batch)) - alone


def count_flops(call: Callable[[], object]) -> int:
    """The FLOPs of one call, all operators visible to torch's counter."""
    fast, mkldnn = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        with (
            FlopCounterMode(display=False, custom_mapping=MORE) as counter,
            sdpa_kernel(SDPBackend.MATH),
            torch.no_grad(),
        ):
            call()
        return int(counter.get_total_flops())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.enabled = mkldnn
