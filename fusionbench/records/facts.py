"""What a record says in words of its own, by its types: what others read there is there as they read it, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fusionbench.core.task import MetricName, TaskKind

LARGEST = 1e15
"""Of a score: the mean of larger ones leaves the numbers that a computer has."""
OPEN = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
"""A later version may say more. Defaults are never read: what is not there is asked for nowhere."""
Joules = Annotated[float, Field(ge=0, le=LARGEST)]


class Pretrained(BaseModel):
    """How an encoder did that was trained beforehand; all of it has to be there."""

    model_config = OPEN

    rows: str
    count: int
    metric: str
    scores: dict[str, float]


class Options(BaseModel):
    """What the runner fixed for a model: see `Record.options`. Factories: pydantic copies other defaults deeply."""

    model_config = OPEN

    width: int = 0
    head_width: int = 0
    target_parameters: int = 0
    fusion_parameters: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    dropout: float = 0.0
    trials: dict[str, float | None] = Field(default_factory=dict)
    solved: dict[str, int] = Field(default_factory=dict)
    own: dict[str, Any] = Field(default_factory=dict)
    tuning: dict[str, Any] = Field(default_factory=dict)
    pretrained: dict[str, Pretrained] = Field(default_factory=dict)


class Task(BaseModel):
    """What the data asked for: see `Record.task`."""

    model_config = OPEN

    kind: TaskKind = "multiclass"
    classes: int = 0
    metric: MetricName = "accuracy"
    modalities: list[dict[str, Any]] = Field(default_factory=list)


class Cost(BaseModel):
    """Memory and energy: see `Record.cost`."""

    model_config = OPEN

    memory_bytes: int = Field(default=0, ge=0, le=int(LARGEST))
    memory_of: Literal["process", "device"] = "process"
    joules: dict[str, Joules] = Field(default_factory=dict)
    uncounted: dict[str, str] = Field(default_factory=dict)


class Facts(BaseModel):
    """All of them."""

    model_config = OPEN

    options: Options
    task: Task
    cost: Cost


def fault(
    options: Mapping[str, Any], task: Mapping[str, Any], cost: Mapping[str, Any], *scores: Mapping[str, float]
) -> str:
    """What is wrong with them, in a few words; empty if nothing is.

    Args:
        options: of a record.
        task: of a record.
        cost: of a record.
        scores: all that it has, finite.
    """
    try:
        found = Facts.model_validate({"options": options, "task": task, "cost": cost})
        for rate in found.options.trials:
            float(rate)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        return f"options.trials: {error}"
    for name, known in found.options.pretrained.items():
        if not {f"{part}/{known.metric}" for part in ("train", "validation")} <= known.scores.keys():
            return f"options.pretrained.{name}: without its scores"
    wild = [name for values in scores for name, value in values.items() if abs(value) > LARGEST]
    return f"{wild[0]}: larger than any score" if wild else ""
