"""Deep CCA: beside the classification, projections of all modalities are trained to correlate with one another.

    y   = MLP([x_1; ...; x_M])                           logits, (B, M*D) -> (B, C)

    h_m = P_m x_m                                        of each modality, (B, D) -> (B, H), H = `hidden`
    S   = cov(h_m, h_n) over the batch, (H, H); S_mm, S_nn with `ridge` added to their diagonals
    rho = |S_mm^-1/2 S_mn S_nn^-1/2|_tr                  the sum of singular values: of H canonical correlations
    loss = CE(y) + `weight` * mean over pairs m < n of (1 - rho / H)

Covariances are those of the samples that have both. Fewer samples than H always correlate wholly, and teach nothing:
take H well below the batch size. The projections serve the correlation alone: a prediction is that of `concat`.

Any A with A S A' = 1 has the same singular values in the place of S^-1/2. Ours is the inverse of a Cholesky factor: the
gradient of an eigendecomposition is not finite where eigenvalues are equal.

Parameters: (M*D+1)*W + (W+1)*C
In training: M*D*hidden
FLOPs: 2*(M*D*W + W*C)
Source: Andrew et al. 2013, "Deep Canonical Correlation Analysis", ICML; a ridge of 1e-3 is that of a reimplementation,
Michaelvll/DeepCCA.
Use: where what modalities have in common is the signal, and what each has alone is noise.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, mlp_head, stacked


class DeepCCA(FusionModule):
    """Concatenation, with the correlation between every pair of modalities as a second loss."""

    display = "Deep CCA"
    family = "coordinated"
    paper, stage, representation, interaction = "andrew2013deep", "training", "coordinated", "full"
    fidelity = "adapted"
    tunable = {"hidden": (4, 64, "log"), "weight": (0.01, 10.0, "log")}
    departure = (
        "a second loss beside the labels', in place of training without any; a classifier on concatenated encodings; "
        "the mean over pairs of any number of modalities, any of them missing; its weight is ours"
    )
    training_only = ("projections",)
    batch_level = "correlates modalities over the samples of one device's part of the batch"

    def __init__(self, setting: Setting, *, hidden: int = 16, weight: float = 1.0, ridge: float = 1e-3) -> None:
        at_least("deep_cca", "hidden", hidden, 1)
        if not weight >= 0:
            raise UserError(f"strategy 'deep_cca': weight is {weight}; it must be a number of at least 0")
        if not ridge > 0:
            raise UserError(f"strategy 'deep_cca': ridge is {ridge}; it must be a number above 0")
        super().__init__(setting)
        self.weight, self.ridge = weight, ridge
        self.head = mlp_head([setting.width] * len(setting.task.names), setting)
        # No biases: a covariance does not see them.
        self.projections = nn.ModuleList(nn.Linear(setting.width, hidden, bias=False) for _ in setting.task.names)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C), and in training how far from correlated."""
        x, present = stacked(encoded)
        penalty = self.weight * self.discord(x, present) if self.training else 0.0
        return Prediction(self.head(x.flatten(1)), penalty=penalty)

    def discord(self, x: Tensor, present: Tensor) -> Tensor:
        """1 - the mean canonical correlation of a pair of modalities: (B, M, D), bool (B, M) -> ()."""
        with torch.autocast(x.device.type, enabled=False):
            h = each(self.projections, x.float()).double()
            lacking = [
                1 - correlation(h[:, m], h[:, n], present[:, m] & present[:, n], self.ridge) / h.shape[-1]
                for m, n in combinations(range(h.shape[1]), 2)
            ]
            return torch.stack(lacking).mean().float() if lacking else h.sum().float() * 0.0


def correlation(a: Tensor, b: Tensor, here: Tensor, ridge: float) -> Tensor:
    """The sum of canonical correlations over the samples that are there: float64 (B, H) twice, bool (B,) -> ()."""
    a, b = _centred(a, here), _centred(b, here)
    samples = (here.sum() - 1).clamp(min=1)
    one = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
    within_a, within_b = a.T @ a / samples + ridge * one, b.T @ b / samples + ridge * one
    between = a.T @ b / samples
    # What has diverged shall be a loss that is not finite, which ends a training as such. Each step is asked for: what
    # a decomposition makes of infinities, error, NaN or a number, is the processor's choice.
    known = within_a.isfinite().all() & within_b.isfinite().all() & between.isfinite().all()
    whiten_a, failed_a = torch.linalg.cholesky_ex(within_a.where(known, one))
    whiten_b, failed_b = torch.linalg.cholesky_ex(within_b.where(known, one))
    left = torch.linalg.solve_triangular(whiten_a, between.where(known, 0.0), upper=False)
    both = torch.linalg.solve_triangular(whiten_b, left.T, upper=False)
    known = known & (failed_a == 0) & (failed_b == 0) & both.isfinite().all()
    return torch.linalg.svdvals(both.where(known, 0.0)).sum().where(known, torch.nan)


def _centred(values: Tensor, here: Tensor) -> Tensor:
    """Less their mean over the samples that are there, and zero elsewhere: (B, H), bool (B,) -> (B, H)."""
    values = values * here[:, None]
    return (values - values.sum(0) / here.sum().clamp(min=1)) * here[:, None]
