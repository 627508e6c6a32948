"""What every encoder has to keep, as plain functions; each raises AssertionError with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import describe, load
from fusionbench.core.task import ModalityKind, ModalitySpec
from fusionbench.encoders.base import Encoder

STEPS = 7
SPECS = {
    "image": ModalitySpec("x", "image", (3, 8, 6)),
    "vector": ModalitySpec("x", "vector", (5,)),
    "sequence": ModalitySpec("x", "sequence", (STEPS, 4)),
    "tokens": ModalitySpec("x", "tokens", (STEPS,), vocabulary=11),
    "bag": ModalitySpec("x", "bag", (STEPS, 2), vocabulary=11),
    "audio": ModalitySpec("x", "audio", (9, 8)),
}
WITH_STEPS = ("sequence", "tokens", "bag")
SMALL: dict[str, dict[str, Any]] = {"timm": {"model": "test_resnet"}}
"""Options, for those whose defaults are slow."""
WIDTH = 8


def kinds_of(encoder: str) -> Sequence[ModalityKind]:
    """The kinds of modalities that its class says it reads."""
    return cast(Sequence[ModalityKind], describe("encoder", encoder).facts.get("kinds", ()))


def built(name: str, kind: str, options: dict[str, Any] | None = None) -> Encoder:
    """An encoder of one kind, in eval mode; alike whenever it is built."""
    torch.manual_seed(0)
    chosen = SMALL.get(name, {}) | (options or {})
    encoder: Encoder = load("encoder", name)(SPECS[kind], width=WIDTH, **chosen)
    return encoder.eval()


def encoded(encoder: Encoder, x: Tensor, mask: Tensor | None = None) -> Encoded:
    """What it makes of samples that all have the modality."""
    with torch.no_grad():
        return encoder(x, mask, torch.ones(len(x), dtype=torch.bool))


def samples(kind: str, size: int = 4) -> Tensor:
    """Random samples, (size, ...), without padding."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 11, (size, STEPS), generator=draw)
    numbers = torch.randn(size, *SPECS[kind].shape, generator=draw)
    if kind == "bag":
        numbers[..., 0] = ids
    return ids if kind == "tokens" else numbers


def put(x: Tensor, where: Tensor, garbage: float) -> Tensor:
    """The samples with something else where they are not real; ids cannot be NaN."""
    found = x.clone()
    found[where] = garbage if x.is_floating_point() else 10**6
    return found


def check_shapes(encoder: Encoder, kind: str) -> None:
    """One vector a sample, steps of the same width, masks that are bool; all finite."""
    one = encoded(encoder, samples(kind))
    steps = one.tokens.shape[1]
    assert one.pooled.shape == (4, WIDTH), f"pooled is {tuple(one.pooled.shape)}, not (4, {WIDTH})"
    assert one.tokens.shape == (4, steps, WIDTH), f"tokens are {tuple(one.tokens.shape)}, not (4, T, {WIDTH})"
    assert one.mask.shape == (4, steps), f"the mask is {tuple(one.mask.shape)}, not {(4, steps)}"
    assert one.mask.dtype == one.present.dtype == torch.bool, "mask and present are not bool"
    assert steps == (STEPS if kind in WITH_STEPS else steps), f"{steps} steps of {STEPS}"
    assert one.pooled.isfinite().all(), "what it gives is not finite"


def check_batch_mates(encoder: Encoder, kind: str) -> None:
    """A sample's encoding does not depend on the others of its batch, in training neither."""
    x = samples(kind)
    whole, alone = encoded(encoder.train(), x), encoded(encoder, x[2:3])
    _assert_close(alone.pooled, whole.pooled[2:3], "a sample depends on its batch mates")
    _assert_close(alone.tokens, whole.tokens[2:3], "a sample's steps depend on its batch mates")


def check_padding(encoder: Encoder, kind: str, garbage: float) -> None:
    """Steps that are not real are not read, give zeros, and may be left away."""
    x, mask = samples(kind), torch.arange(STEPS) < torch.tensor([[STEPS], [1], [3], [5]])
    expected = encoded(encoder, x, mask)
    found = encoded(encoder, put(x, ~mask, garbage), mask)
    _assert_close(found.pooled, expected.pooled, f"{garbage} in the padding is read")
    _assert_close(found.tokens, expected.tokens, f"{garbage} in the padding is read")
    short = encoded(encoder, x[1:2, :1])
    _assert_close(short.pooled, expected.pooled[1:2], "the length of the padding matters")
    _assert_close(short.tokens, expected.tokens[1:2, :1], "the length of the padding matters")
    assert not expected.tokens[~mask].any(), "steps that are not real are no zeros"


def check_no_real_step(encoder: Encoder, kind: str) -> None:
    """A sample without any real step gives finite numbers, and finite gradients."""
    x, mask = samples(kind), torch.arange(STEPS) < torch.tensor([[STEPS], [0], [3], [0]])
    one = encoded(encoder, put(x, ~mask, torch.nan), mask)
    assert one.pooled.isfinite().all(), "a sample without any real step is not finite"
    encoder.train()(x, mask, torch.ones(4, dtype=torch.bool)).pooled.sum().backward()
    finite = all(p.grad is None or bool(p.grad.isfinite().all()) for p in encoder.parameters())
    assert finite, "a sample without any real step has gradients that are not finite"


def check_padding_id(encoder: Encoder, kind: str) -> None:
    """The id 0 is padding, also where no mask says so."""
    x = samples(kind)
    (x if kind == "tokens" else x[..., 0])[:, 5:] = 0
    expected, found = encoded(encoder, x[:, :5]), encoded(encoder, x)
    _assert_close(found.pooled, expected.pooled, "the id 0 is read")
    assert found.mask.sum(1).tolist() == [5] * 4, "steps with the id 0 count as real"


def check_bfloat16(encoder: Encoder, kind: str) -> None:
    """Under autocast to bfloat16 its vectors are near."""
    x = samples(kind)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoded(encoder, x).pooled
    torch.testing.assert_close(rough.float(), encoded(encoder, x).pooled, rtol=0.05, atol=0.05)


def check_gradients(encoder: Encoder, kind: str) -> None:
    """Every parameter that is to learn gets a gradient."""
    one = encoder.train()(samples(kind, size=32), None, torch.ones(32, dtype=torch.bool))
    torch.autograd.backward((one.pooled.square().sum() + one.tokens.square().sum()).sum())
    for path, parameter in encoder.named_parameters():
        learns = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert learns or not parameter.requires_grad, f"'{path}' gets no gradient"


def _assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    assert found.shape == expected.shape, f"{what}: {tuple(found.shape)}, not {tuple(expected.shape)}"
    gap = (found - expected).abs().amax().item()
    assert gap <= 1e-5 + 1.3e-6 * expected.abs().amax().item(), f"{what}: it differs by {gap:.2g}"  # False for NaN.
