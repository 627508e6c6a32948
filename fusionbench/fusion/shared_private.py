"""MISA: every modality split into what it shares with the others and what it has alone, and a Transformer over both.

    h_m = LN(ReLU(A_m x_m))                        every modality in one space, (B, D) -> (B, H), H = `common`
    s_m = sigmoid(S h_m), p_m = sigmoid(P_m h_m)   what it shares, S the same for all; what it has alone
    Z   = layer([p_1 ... p_M  s_1 ... s_M])        one Transformer layer, norms after the sums, (B, 2M, H)
    y   = MLP([Z_1; ...; Z_2M])                    logits, (B, 2M*H) -> (B, C)

    loss = CE(y) + similarity L_sim + difference L_diff + reconstruction L_rec
    L_sim  = mean over pairs of sum_{k=1..5} |c_k(s_m) - c_k(s_n)|    c_1 the mean over samples, c_k its central moments
    L_diff = sum_m |s_m' p_m|^2 / H^2 + sum over pairs of |p_m' p_n|^2 / H^2      of all samples, (B, H): columns
                                                                      centred, then rows of length 1
    L_rec  = mean_m |R_m (p_m + s_m) - h_m|^2 / H                     R_m is affine; a mean over samples

An absent modality gives no vector to the layer, zeros to the MLP, and no sample to its losses. As in the authors' code,
L_diff grows with (B/H)^2.

In their code, no gradient of L_diff goes through the rows' lengths (`detach_lengths`): its pull on a row grows without
bound as the row shrinks, and may press what the modalities are encoded to together into a constant, before the labels
hold on to it. By default it goes through them, so that L_diff is a function of directions alone, and its gradient that
of the formula. Either way XOR, of which no modality tells anything alone, is learned from encodings of 128 numbers at a
learning rate of 1e-3, and stays at chance with 32 numbers at 5e-3.

Parameters: M*(D+1)*common + (M+1)*(common+1)*common + 2*M*common + (4*common+7)*common + (2*common+1)*feedforward
    + (2*M*common+1)*W + (W+1)*C
In training: M*(common+1)*common
FLOPs: 2*(M*D*common + 2*M*common**2 + 8*M*common**2 + 8*M*M*common + 4*M*common*feedforward + 2*M*common*W + W*C)
Source: Hazarika et al. 2020, "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment
Analysis", arXiv:2005.03545, and the authors' code, declare-lab/MISA (src/models.py, src/solver.py,
src/utils/functions.py): 128 numbers, two heads, 2048 units, and a dropout of 0.1 in the layer.
Use: where what is common and what is peculiar to a modality should be kept apart, with wide encodings and small steps.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.fusion._attention import CrossAttention
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, each, heads_divide, mlp_head, stacked

MOMENTS = 5


class SharedPrivate(FusionModule):
    """Modality-invariant and -specific representations (MISA)."""

    display = "MISA"
    family = "coordinated"
    paper, representation, interaction, fidelity = "hazarika2020misa", "coordinated", "full", "adapted"
    tunable = {"similarity": (0.1, 10.0, "log"), "difference": (0.03, 3.0, "log")}
    departure = (
        "any number of modalities, any of them missing: losses over the samples that have them; the gradient of the "
        "difference loss goes through the rows' lengths, which the authors' code detaches; our common MLP head after "
        "the Transformer layer"
    )
    training_only = ("decoders",)
    batch_level = "compares moments and directions over the samples of one device's part of the batch"
    own_width, own_unit = "common", "heads"

    def __init__(
        self,
        setting: Setting,
        *,
        common: int = 128,
        heads: int = 2,
        feedforward: int = 2048,
        similarity: float = 1.0,
        difference: float = 0.3,
        reconstruction: float = 1.0,
        dropout: float = 0.1,
        detach_lengths: bool = False,
    ) -> None:
        """The width of the common space; heads, hidden units and dropout of the Transformer layer; weights of losses.

        `detach_lengths`: whether the difference loss keeps its gradient from the rows' lengths, as the authors' does.

        Raises:
            UserError: an option is out of its range.
        """
        at_least("shared_private", "common", common, 1)
        heads_divide("shared_private", heads, common)
        at_least("shared_private", "feedforward", feedforward, 1)
        self.weights = {"similarity": similarity, "difference": difference, "reconstruction": reconstruction}
        for name, weight in self.weights.items():
            if not weight >= 0:
                raise UserError(f"strategy 'shared_private': {name} is {weight}; it must be a number of at least 0")
        if not 0 <= dropout < 1:
            raise UserError(f"strategy 'shared_private': dropout is {dropout}; it must be from 0 to below 1")
        super().__init__(setting)
        self.detach_lengths = detach_lengths
        names = setting.task.names
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.Linear(setting.width, common), nn.ReLU(), nn.LayerNorm(common)) for _ in names
        )
        self.private = nn.ModuleList(nn.Linear(common, common) for _ in names)
        self.shared = nn.Linear(common, common)
        self.decoders = nn.ModuleList(nn.Linear(common, common) for _ in names)
        self.layer = NormAfter(common, heads, feedforward, dropout)
        self.head = mlp_head([common] * 2 * len(names), setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> private and shared (B, M, H) each -> (B, 2M, H) -> (B, C), and in training the losses."""
        x, present = stacked(encoded)
        h = each(self.inputs, x)
        private, shared = each(self.private, h).sigmoid(), self.shared(h).sigmoid()
        both = torch.cat([present, present], 1)  # (B, 2M)
        z = self.layer(torch.cat([private, shared], 1), both) * both[..., None]
        penalty = self.losses(h, private, shared, present) if self.training else 0.0
        return Prediction(self.head(z.flatten(1)), penalty=penalty)

    def losses(self, h: Tensor, private: Tensor, shared: Tensor, present: Tensor) -> Tensor:
        """The weighted sum of the three, in float32: (B, M, H) thrice, bool (B, M) -> ()."""
        decoded = each(self.decoders, private + shared)
        with torch.autocast(h.device.type, enabled=False):
            h, private, shared, decoded = (value.float() for value in (h, private, shared, decoded))
            modalities = range(h.shape[1])
            pairs = list(combinations(modalities, 2))
            alike = [moment_distance(shared[:, m], shared[:, n], present[:, m], present[:, n]) for m, n in pairs]
            apart = [self.overlap(shared[:, m], private[:, m], present[:, m]) for m in modalities]
            apart += [self.overlap(private[:, m], private[:, n], present[:, m] & present[:, n]) for m, n in pairs]
            errors = (decoded - h).square().mean(-1) * present  # (B, M)
            rebuilt = (errors.sum(0) / present.sum(0).clamp(min=1)).mean()
            total = self.weights["difference"] * torch.stack(apart).sum() + self.weights["reconstruction"] * rebuilt
            return total + self.weights["similarity"] * torch.stack(alike).mean() if alike else total

    def overlap(self, a: Tensor, b: Tensor, here: Tensor) -> Tensor:
        """As the function, by this strategy's form of the gradient."""
        return overlap(a, b, here, self.detach_lengths)


class NormAfter(nn.Module):
    """A Transformer layer with its norms after the sums: z = LN(z + attention(z)), then LN(z + W_2 ReLU(W_1 z)).

    (4*D+2)*D + (2*D+1)*hidden + D + 4*D parameters.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads)
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), bool (B, T) for what is there -> (B, T, D)."""
        z = self.first(z + self.dropout(self.attention(z, z, mask)))
        return self.second(z + self.dropout(self.contract(self.dropout(F.relu(self.expand(z))))))


def moment_distance(a: Tensor, b: Tensor, a_here: Tensor, b_here: Tensor) -> Tensor:
    """How far means and central moments are apart, each over the samples that are there: (B, H), bool (B,) -> ()."""
    distance = a.new_zeros(())
    for first, second in zip(_moments(a, a_here), _moments(b, b_here), strict=True):
        # Its gradient at zero is zero: of a single sample all central moments are equal.
        distance = distance + torch.linalg.vector_norm(first - second)
    return distance * (a_here.any() & b_here.any())


def _moments(values: Tensor, here: Tensor) -> list[Tensor]:
    """The mean and the central moments up to MOMENTS: (B, H), bool (B,) -> (H,) each."""
    share = here[:, None].to(values.dtype) / here.sum().clamp(min=1)
    mean = (values * share).sum(0)
    return [mean, *(((values - mean).pow(k) * share).sum(0) for k in range(2, MOMENTS + 1))]


def overlap(a: Tensor, b: Tensor, here: Tensor, detach: bool) -> Tensor:
    """The mean square of A'B, their rows centred over the samples that are there, then of length 1: (B, H) -> ()."""
    return (_directions(a, here, detach).T @ _directions(b, here, detach)).square().mean()


def _directions(values: Tensor, here: Tensor, detach: bool) -> Tensor:
    present = here[:, None]
    centred = (values - (values * present).sum(0) / here.sum().clamp(min=1)) * present
    lengths = centred.norm(dim=1, keepdim=True)
    return centred / ((lengths.detach() if detach else lengths) + 1e-6)
