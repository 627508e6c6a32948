"""One test row explained: what its inputs add to the model's answer, and what that would be without a modality.

What comes back is plain numbers and words, of which another process draws a picture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.bench.again import model_again
from fusionbench.bench.jobs import ExplainJob, Message, Report
from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError, reason_of, unknown
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.naming import class_names, input_names
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.attribution import MOST_STEPS, NEAR, Attribution, attributed
from fusionbench.plan.names import slug
from fusionbench.records.store import Store


def explain(job: ExplainJob, report: Report) -> Message:
    """The explanation, as facts of a message.

    Raises:
        UserError: no such class, a model that has no gradients, or attributions that do not add up.
    """
    run, store = job.run, Store(job.place.results, job.place.suite)
    ready, _, repeat = model_again(run, job.place, store, report)
    module, data = ready.module.eval().cpu(), ready.data
    assert data.parts is not None
    batch = data.batch(data.parts.test[job.example : job.example + 1])
    classes = class_names(data) or [str(number) for number in range(data.asked.classes)]
    answer = _answer(module, batch)
    target = _target(job.of_class, classes, answer)
    found = _attributed(module, batch, target, f"strategy '{slug('strategy', run.strategy)}'", report)
    facts = {
        "task": data.asked.kind,
        "classes": classes,
        "target": target,
        "truth": _truth(batch, data.asked),
        "answer": _said(answer, data.asked),
        "without": _without(module, batch, data.asked),
        "weights": _weights(module, batch, data.asked),
        "logit": found.logit,
        "baseline": found.baseline,
        "steps": found.steps,
        "gap": found.gap,
        "parts": [_part(name, found, module, batch, data) for name in found.inputs],
        **repeat,
    }
    return Message("finished", "explained", facts=facts)


def _attributed(module: FusionModule, batch: MultimodalBatch, target: int, name: str, report: Report) -> Attribution:
    try:
        found = attributed(module, batch, target, lambda steps: report.progress(steps, MOST_STEPS, "steps"))
    except Exception as error:  # Whatever the code of a strategy or an encoder does that has no gradient.
        raise UserError(f"{name}: its answer cannot be attributed: {reason_of(error)}") from error
    if found.gap > NEAR:
        raise UserError(
            f"{name}: after {found.steps} steps attributions add up to {found.total:.4g}, and the logits differ by "
            f"{found.logit - found.baseline:.4g}; no picture, since it would not say what the model does"
        )
    return found


def _target(of_class: str | None, classes: list[str], answer: Tensor) -> int:
    """Which logit: the one that is named, or the model's highest."""
    if of_class is None:
        return int(answer.argmax())
    if of_class in classes:
        return classes.index(of_class)
    if of_class.isdecimal() and int(of_class) < len(classes):
        return int(of_class)
    raise unknown("class", of_class, [*classes[:50]], "--class")


def _answer(module: FusionModule, batch: MultimodalBatch) -> Tensor:
    """Logits, or numbers in the data's unit, (C,)."""
    with torch.no_grad():
        found: Tensor = module(batch.inputs, batch.masks, batch.present)[0]
    return found


def _said(answer: Tensor, task: TaskSpec) -> list[float]:
    """Probabilities, or numbers, (C,)."""
    y = answer.double()
    said = {"multiclass": y.softmax(0), "multilabel": y.sigmoid(), "regression": y}[task.kind]
    return [float(value) for value in said]


def _truth(batch: MultimodalBatch, task: TaskSpec) -> list[float]:
    """The class; of several labels, which; of a regression the numbers."""
    target = batch.targets[0]
    if task.kind == "multilabel":
        return [float(number) for number in target.nonzero().flatten()]
    return [float(value) for value in target.flatten()]


def _without(module: FusionModule, batch: MultimodalBatch, task: TaskSpec) -> dict[str, list[float] | None]:
    """What it says where one modality is missing; None where it is missing anyway, or nothing would be left."""
    here = [name for name, present in batch.present.items() if bool(present[0])]
    found: dict[str, list[float] | None] = {}
    for name in task.names:
        if name not in here or len(here) == 1:
            found[name] = None
            continue
        present = {**batch.present, name: torch.zeros(1, dtype=torch.bool)}
        found[name] = _said(_answer(module, replace(batch, present=present)), task)
    return found


def _weights(module: FusionModule, batch: MultimodalBatch, task: TaskSpec) -> dict[str, float]:
    """How much each modality counted, where the strategy says so."""
    with torch.no_grad():
        weights = module.predict(batch).weights
    return {} if weights is None else dict(zip(task.names, map(float, weights[0]), strict=True))


def _part(
    name: str, found: Attribution, module: FusionModule, batch: MultimodalBatch, data: MultimodalData
) -> dict[str, Any]:
    """One modality: its inputs, what they add, and what they are called. Arrays are numpy's, as long as is real."""
    added = found.inputs[name].detach().float().numpy()
    kinds = {spec.name: spec.kind for spec in data.task.modalities}
    kind = kinds.get(name, "tokens" if name in found.ids else "vector")
    facts: dict[str, Any] = {"name": name, "kind": kind, "total": float(added.sum(dtype=np.float64))}
    facts["present"] = bool(batch.present[name][0]) if name in batch.present else True
    if name in found.ids:
        ids = found.ids[name].numpy()
        real = _real(name, batch, len(ids)) & (ids != 0)  # What is joined has no mask of its own; 0 is padding.
        words = _texts(module, name, ids) or _named(input_names(data, name), ids)
        return {**facts, "added": added[real], "words": [word for word, one in zip(words, real, strict=True) if one]}
    values = batch.inputs[name][0].float().numpy()
    if kind in ("sequence", "audio"):
        real = _real(name, batch, len(values))
        return {**facts, "added": added[real], "values": values[real], "names": input_names(data, name)}
    return {**facts, "added": added, "values": values, "names": input_names(data, name)}


def _real(name: str, batch: MultimodalBatch, length: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which steps are real; those of a text's own tokens all are."""
    mask = batch.masks.get(name)
    fits = mask is not None and mask.shape[1] == length
    return mask[0].numpy() if fits and mask is not None else np.ones(length, dtype=np.bool_)


def _named(names: list[str], ids: np.ndarray[Any, Any]) -> list[str]:
    return [names[number] if number < len(names) and names[number] else f"#{number}" for number in ids.tolist()]


def _texts(module: FusionModule, name: str, ids: np.ndarray[Any, Any]) -> list[str]:
    """The tokens of a network of others, as its own tokenizer has them; empty where there is none."""
    for part in module.modules():
        if isinstance(part, Encoder) and part.spec.name == name:
            tokenizer = getattr(getattr(part, "network", None), "tokenizer", None)
            if tokenizer is not None:
                return [str(word) for word in tokenizer.convert_ids_to_tokens(ids.tolist())]
    return []
