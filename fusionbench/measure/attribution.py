"""Integrated gradients: how much each input of one sample adds to a logit, beside a sample that says nothing.

    a_i = (x_i - b_i) * integral over t from 0 to 1 of the gradient of y_c at b + t (x - b), with respect to x_i
    sum_i a_i = y_c(x) - y_c(b)                            over all modalities at once

b is the mean of every number (0, as inputs are standardised), and for tokens, texts and the entries of a bag vectors of
zeros in the place of those that their ids stand for: what is attributed to one of them is the sum over its vector.
The path is taken in parts that become shorter towards b, by Gauss and Legendre's steps, which are doubled until the sum
is as near as it has to be.

Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365; computed by Captum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule

CUTS = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the path: a norm knows no size, so that near the sample that says nothing all may change within a thousandth."""
STEPS, MOST_STEPS = 16, 1024
"""Of each part of the path."""
NEAR = 0.05
"""How far the sum may be from the difference of logits, relative to it."""
NOTHING = 1e-4
"""A difference that counts as none."""
AT_ONCE = 32
"""Points of the path that are computed together."""
AS_VECTORS = ("tokens", "text", "bag")
"""Kinds whose inputs are ids or bytes: their vectors are looked at."""


@dataclass(frozen=True)
class Attribution:
    """Of one sample and one logit."""

    inputs: Mapping[str, Tensor]
    """By modality, what each of its numbers adds, of its input's shape without the batch; of tokens, texts and bags
    (T,); of what an encoder joins under the name that it has there."""
    ids: Mapping[str, Tensor]
    """Of tokens, texts and bags, which ids these are, (T,)."""
    logit: float
    baseline: float
    """The same logit of the sample that says nothing."""
    steps: int

    @property
    def total(self) -> float:
        """What all of them add."""
        return float(sum(one.double().sum() for one in self.inputs.values()))

    @property
    def gap(self) -> float:
        """How far that is from the difference of the two logits, relative to it."""
        difference = self.logit - self.baseline
        apart = abs(self.total - difference)
        return 0.0 if apart <= NOTHING else apart / max(abs(difference), NOTHING)


def attributed(
    module: FusionModule, batch: MultimodalBatch, target: int, tell: Callable[[int], None] = lambda _: None
) -> Attribution:
    """What the inputs of one sample add to one logit; numbers of a regression in the data's unit.

    Args:
        module: trained, on the CPU.
        batch: one sample.
        target: which logit.
        tell: hears how many steps are taken.
    """
    training = module.training
    module.eval()
    try:
        with _differentiable(module), _Vectors.of(module) as vectors, torch.enable_grad():
            with torch.no_grad():
                _outputs(module, batch)  # Notes the vectors of ids.
            path = _Path(module, batch, target, vectors)
            found, steps = path.attributed(STEPS), STEPS
            while found.gap > NEAR and steps < MOST_STEPS:
                steps *= 2
                tell(steps)
                found = path.attributed(steps)
            return found
    finally:
        module.train(training)


@dataclass
class _Vectors:
    """The embeddings of tokens, texts and bags: what they gave, and what they are to give in its place."""

    seen: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)
    """Name, ids (1, T), vectors (1, T, E), in the order of the calls."""
    given: list[Tensor] | None = None
    """What they give instead, in that order; None: what they have."""
    _next: int = 0

    @classmethod
    @contextmanager
    def of(cls, module: FusionModule) -> Iterator[_Vectors]:
        """Those of a module, for as long as they are looked at."""
        made = cls()
        with ExitStack() as hooks:
            for encoder in module.modules():
                if isinstance(encoder, Encoder) and encoder.spec.kind in AS_VECTORS:
                    hooks.enter_context(made._hooked(encoder))
            yield made

    def _hooked(self, encoder: Encoder) -> Any:
        # Of a network of others, which has some for places too: that of words is the largest.
        tables = [part for part in encoder.modules() if isinstance(part, nn.Embedding)]
        words = max(tables, key=lambda table: table.num_embeddings)

        def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if self.given is None:
                self.seen.append((encoder.spec.name, args[0], output))
                return output
            self._next += 1
            return self.given[(self._next - 1) % len(self.given)]

        return _removed(words.register_forward_hook(hook))


@dataclass(frozen=True)
class _Path:
    """From the sample that says nothing to the sample."""

    module: FusionModule
    batch: MultimodalBatch
    target: int
    vectors: _Vectors

    def attributed(self, steps: int) -> Attribution:
        """By so many steps."""
        from captum.attr import IntegratedGradients

        names = [name for name in self.module.task.names if self._kind(name) not in AS_VECTORS]
        seen = list(self.vectors.seen)
        x = (*(self.batch.inputs[name].float() for name in names), *(one for _, _, one in seen))
        x = tuple(one.detach().clone().requires_grad_() for one in x)
        nothing = tuple(torch.zeros_like(one) for one in x)
        method = IntegratedGradients(lambda *given: self._logit(names, given), multiply_by_inputs=True)
        # A network of others may take texts apart, so that they come one by one.
        at_once = 1 if any(self._kind(name) == "text" for name in self.module.task.names) else AT_ONCE
        found = [torch.zeros_like(one) for one in x]
        for low, high in pairwise(CUTS):
            ends = [tuple((at * one).detach().requires_grad_() for one in x) for at in (high, low)]
            more = method.attribute(*ends, n_steps=steps, method="gausslegendre", internal_batch_size=at_once)
            found = [one + added for one, added in zip(found, more, strict=True)]
        with torch.no_grad():
            logit, baseline = (float(self._logit(names, one)[0]) for one in (x, nothing))
        own = {name: one[0] for name, one in zip(names, found, strict=False)}
        for (name, _, _), one in zip(seen, found[len(names) :], strict=True):
            added = one[0].sum(-1)  # (T, E) -> (T,)
            own[name] = own[name] + added if name in own else added  # A strategy may read a modality twice.
        ids = {name: one[0].detach() for name, one, _ in seen}
        return Attribution({name: one.detach() for name, one in own.items()}, ids, logit, baseline, steps)

    def _kind(self, name: str) -> str:
        return self.module.task.modality(name).kind

    def _logit(self, names: list[str], given: tuple[Tensor, ...]) -> Tensor:
        """(B, ...) each -> (B,)."""
        size = len(given[0])
        inputs = {name: _repeated(x, size) for name, x in self.batch.inputs.items()}
        inputs |= dict(zip(names, given, strict=False))
        masks = {name: _repeated(mask, size) for name, mask in self.batch.masks.items()}
        present = {name: _repeated(here, size) for name, here in self.batch.present.items()}
        self.vectors.given = list(given[len(names) :])
        try:
            logits = self.module(inputs, masks, present)[:, self.target]
        finally:
            self.vectors.given = None
        # So that a gradient with respect to what a strategy never looks at is 0, not an error.
        return logits + sum(x.flatten(1).sum(1) for x in given) * 0.0


def _outputs(module: FusionModule, batch: MultimodalBatch) -> Tensor:
    found: Tensor = module(batch.inputs, batch.masks, batch.present)
    return found


def _repeated(x: Tensor, size: int) -> Tensor:
    return x.expand(size, *x.shape[1:])


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _differentiable(module: FusionModule) -> Iterator[None]:
    """Trunks that stay as they are run without gradients, which their inputs need here."""
    staying = [part for part in module.modules() if getattr(part, "stays", False) is True]
    for part in staying:
        part.stays = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for part in staying:
            part.stays = True  # type: ignore[assignment]
