"""What the runner fixes for a strategy: its task, its encoders, widths, and how it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import nn

from fusionbench.core.task import Colours, ModalitySpec, TaskSpec
from fusionbench.plan.budget import Budget, OptimiserName
from fusionbench.plan.suite import Choice


@dataclass(frozen=True)
class Optimiser:
    """Which steps training takes, with a linear warm-up and a cosine decay: the same for all strategies."""

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    name: OptimiserName = "adamw"
    momentum: float = 0.0
    """SGD's."""

    @classmethod
    def of(cls, budget: Budget) -> Optimiser:
        """That of a budget."""
        return cls(budget.learning_rate, budget.weight_decay, budget.optimiser, budget.momentum)

    def over(self, parameters: Iterable[nn.Parameter], fused: bool) -> torch.optim.Optimizer:
        """Torch's, over these parameters, at the peak learning rate."""
        rate, decay = self.learning_rate, self.weight_decay
        if self.name == "sgd":
            # Torch's fused one fails where a weight has its first gradient later than others, as in `alternating`.
            return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=self.momentum, fused=False)
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=fused)


@dataclass(frozen=True)
class Setting:
    """What the runner fixes: equal for all strategies of a dataset, but for `head_width`."""

    task: TaskSpec
    encoders: Mapping[str, Choice]
    """By modality; a strategy builds those it uses."""
    width: int = 128
    """D: what every encoder gives."""
    head_width: int = 128
    """W: the hidden width of every MLP head."""
    dropout: float = 0.0
    optimiser: Optimiser = field(default_factory=Optimiser)
    seed: int = 0
    """Encoders are initialised from (seed, modality): the same for every strategy of a seed."""
    head_norm: bool = True
    """Whether what enters an MLP head is normalised; see `blocks.HeadNorm`."""
    epochs: int = 0
    """How many are trained at most; 0: not known."""
    solved: Mapping[str, Any] = field(default_factory=dict)
    """Options of the strategy that the runner found, in the place of the suite's: for a number of parameters, or by
    trials."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        encoders = {name: choice.to_json() for name, choice in self.encoders.items()}
        return {**plain, "task": asdict(self.task), "encoders": encoders, "optimiser": asdict(self.optimiser)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Setting:
        """The inverse of `to_json`, also after JSON has made lists of tuples."""
        task = found["task"]
        modalities = tuple(_modality(one) for one in task["modalities"])
        whole = {
            "task": TaskSpec(**{**task, "modalities": modalities}),
            "encoders": {name: Choice.from_json(choice) for name, choice in found["encoders"].items()},
            "optimiser": Optimiser(**found["optimiser"]),
        }
        return cls(**{**found, **whole})


def _modality(found: Mapping[str, Any]) -> ModalitySpec:
    """Of what `asdict` or JSON made of it; what is older knows no colours and no categories."""
    given = found.get("colours")
    colours = Colours(tuple(given["mean"]), tuple(given["std"])) if given else None
    own = {"shape": tuple(found["shape"]), "colours": colours, "categories": tuple(found.get("categories", ()))}
    return ModalitySpec(**{**found, **own})
