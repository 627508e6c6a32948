"""The kernels that any x86-64 processor has, and what they compute: run as a program, prints a hash of that.

Libraries pick kernels by processor, and these round differently. Under PORTABLE they all pick the same ones; where even
so the hash is another one (another architecture, another release of torch), byte-equal scores cannot be asked for.
"""

from __future__ import annotations

import hashlib

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "1",
}
"""Variables of the environment: of torch, MKL, oneDNN, OpenBLAS and NumPy."""


def probe() -> str:
    """A hash of what matrix products, convolutions, functions and norms give, of NumPy and of torch."""
    import numpy as np
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    x = draw.standard_normal((128, 96)).astype(np.float32)
    found = [x @ x[:96], np.exp(x), draw.standard_normal(7)]
    t = torch.from_numpy(x)
    t = t.requires_grad_()
    image = t.view(128, 6, 4, 4)
    weight = torch.from_numpy(draw.standard_normal((8, 6, 3, 3)).astype(np.float32))
    for y in (
        t @ t.T,
        F.conv2d(image, weight, padding=1),
        F.group_norm(image, 2),
        F.layer_norm(t, (96,)),
        t.tanh(),
        t.sigmoid(),
        t.softmax(1),
        F.gelu(t),
        F.cross_entropy(t, torch.arange(128) % 96),
    ):
        (gradient,) = torch.autograd.grad(y.sum(), t)
        found += [y.detach().numpy(), gradient.numpy()]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in found)).hexdigest()


if __name__ == "__main__":
    print(probe())  # noqa: T201
