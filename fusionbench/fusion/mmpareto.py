"""MMPareto: where a modality's own loss and the joint one pull its encoder apart, both are followed where they can be.

    L   = CE(MLP([x_1; ...; x_M]))              the joint loss, of the prediction; logits (B, C)
    L_m = CE(MLP_m(x_m))                        a modality's own loss, through a head that only training needs
    g, u                                        gradients of L and of L_m on all parameters of encoder m, as one vector
    a, b = 1/2, 1/2                             where cos(g, u) >= 0
         = argmin_{a+b=1} |a g + b u|^2         where they conflict: a = (u.u - g.u) / (g.g + u.u - 2 g.u), b = 1 - a
    h   = 2 a g + 2 b u                         lowers both losses; now for each parameter tensor p of the encoder:
    p.grad = h_p max(1, |g_p + u_p| / |h_p|)    and the encoder's step is gamma times as long

The least norm is short, so its length is brought back to that of the plain sum. In the paper gamma is a factor of the
gradient, and the optimiser is SGD; here it is AdamW by default, which evens steady factors of a gradient out. So gamma
is the step's: under SGD without momentum the same, and under AdamW as effective. A head gets the gradient of its own
loss alone. Each encoder has its own two gradients, so nothing changes for M > 2.

Gradients are combined after they were averaged over all devices, since the combination is not linear.

Parameters: (M*D+1)*W + (W+1)*C
In training: M*((D+1)*W + (W+1)*C)
FLOPs: 2*(M*D*W + W*C)
Source: Wei & Hu 2024, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance", arXiv:2405.17730. One
cosine an encoder, one length a tensor, and gamma are those of the authors' code, GeWu-Lab/MMPareto_ICML2024
(code/MMPareto.py). There cos = 0 is a conflict too: where a gradient is zero, as of a modality that a whole batch
lacks, all weight would go to it.
Use: where single modalities' losses help but pull against the joint one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._balance import ModulatedSteps, frozen_encoders
from fusionbench.fusion._devices import mean_over_devices
from fusionbench.fusion._objectives import JointAndOwnHeads, counted_means, loss_table
from fusionbench.fusion.base import FusionModule, Prediction, Setting


class MMPareto(FusionModule):
    """Concatenation, with unimodal losses that do not work against the joint one."""

    display = "MMPareto"
    family, trains_encoders = "training", True
    paper, stage, interaction, fidelity = "wei2024mmpareto", "training", "full", "adapted"
    tunable = {"gamma": (1.0, 3.0)}
    departure = (
        "our common MLP heads in place of linear ones, and the common AdamW in place of SGD, so that gamma stretches "
        "steps, not gradients; several labels by binary cross-entropy; samples that lack a modality do not count in "
        "its loss"
    )
    training_only = ("heads.own",)

    def __init__(self, setting: Setting, *, gamma: float = 1.5) -> None:
        """`gamma` stretches the encoders' steps.

        Raises:
            UserError: it is below 1.
        """
        if not 1 <= gamma < float("inf"):
            raise UserError(f"strategy 'mmpareto': gamma is {gamma}; it must be a finite number of at least 1")
        super().__init__(setting)
        self.gamma = gamma
        self.heads = JointAndOwnHeads(setting)
        self._own_loss: Tensor | None = None  # From a step's forward pass to its backward pass.
        self._steps = ModulatedSteps()

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """An encoder that stays as it is."""
        return frozen_encoders(setting, "it combines the gradients of encoders")

    def on_train_start(self) -> None:
        """Have the optimisers' steps stretched; refuse a trainer that would mix the gradients of several batches.

        Raises:
            UserError: it accumulates gradients.
        """
        batches = self.trainer.accumulate_grad_batches
        if batches != 1:
            raise UserError(f"strategy 'mmpareto': accumulate_grad_batches is {batches}; it must be 1 here")
        for optimiser in self.trainer.optimizers:
            optimiser.register_step_post_hook(self._steps.after)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Say by what the step that follows is stretched."""
        self._steps.before([(self.encoders.parameters(), torch.tensor(self.gamma, device=self.device))])

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C); in training also each modality's own logits."""
        prediction: Prediction = self.heads(encoded, with_own=self.training)
        return prediction

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """The joint loss and every modality's own."""
        return counted_means(self, *loss_table(prediction, batch, self.task)).sum()

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """The sum of all losses; `backward` takes it apart."""
        losses = counted_means(self, *loss_table(self.predict(batch), batch, self.task))
        self._own_loss = losses[1:].sum()
        return self.added_up(losses.sum())

    def backward(self, loss: Tensor, *arguments: Any) -> None:  # Lightning gives no keywords.
        """Lightning's hook: leave every parameter with the gradient that the method gives it."""
        assert self._own_loss is not None
        parameters = {name: list(encoder.parameters()) for name, encoder in self.encoders.items()}
        own = self._own_gradients([parameter for some in parameters.values() for parameter in some])
        super().backward(loss, *arguments)
        for some in parameters.values():
            here = [parameter for parameter in some if parameter.grad is not None]
            unimodal = [own[parameter] for parameter in here]
            # The sum's gradient less the unimodal one: a second backward pass is spared.
            joint = [parameter.grad - u for parameter, u in zip(here, unimodal, strict=True)]  # type: ignore[operator]
            for parameter, found in zip(here, integrated(joint, unimodal), strict=True):
                parameter.grad = found

    def _own_gradients(self, parameters: list[torch.nn.Parameter]) -> dict[torch.nn.Parameter, Tensor]:
        """Each encoder's gradient by its own modality's loss, the mean over devices."""
        own, self._own_loss = self._own_loss, None
        assert own is not None
        # All own losses at once: each depends on one encoder only. DDP does not see this pass.
        found = torch.autograd.grad(own, parameters, retain_graph=True, materialize_grads=True)
        whole = mean_over_devices(self, torch.cat([gradient.flatten() for gradient in found]))
        parts = torch.split(whole, [parameter.numel() for parameter in parameters])
        return {parameter: part.view_as(parameter) for parameter, part in zip(parameters, parts, strict=True)}


def pareto_weights(joint: Tensor, unimodal: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of two gradients (N,), which sum to 1: equal ones, or in conflict those of their least norm."""
    gg, gu, uu = joint @ joint, joint @ unimodal, unimodal @ unimodal
    least = ((uu - gu) / (gg + uu - 2 * gu).clamp(min=torch.finfo(gg.dtype).tiny)).clamp(0, 1)
    weight = torch.where(gu >= 0, 0.5, least)
    return weight, 1 - weight


def integrated(joint: list[Tensor], unimodal: list[Tensor]) -> list[Tensor]:
    """What the parameters of one encoder get, but for gamma, from both losses' gradients on each of its tensors."""
    if not joint:
        return []
    a, b = pareto_weights(*(torch.cat([gradient.flatten() for gradient in some]) for some in (joint, unimodal)))
    found = []
    for g, u in zip(joint, unimodal, strict=True):
        h = 2 * (a * g + b * u)
        length = h.norm()
        longer = (g + u).norm() / length.clamp(min=torch.finfo(h.dtype).tiny)
        found.append(h * torch.where(length > 0, longer, 1.0).clamp(min=1))
    return found
