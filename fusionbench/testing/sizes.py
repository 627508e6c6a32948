"""Contract points 6 and 9: sizes are what the docstring's formulas say, and the head's width reaches any number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fusionbench.bench.matching import by_head, matched
from fusionbench.core.batch import MultimodalBatch
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.measure.size import fusion_parameters, measure
from fusionbench.testing.samples import HEAD_WIDTH, STEPS, WIDTH, WITH_STEPS


def check_size(module: FusionModule, doc: str, options: Mapping[str, Any], batch: MultimodalBatch) -> None:
    """Point 6: parameters are as many as the docstring's formula says, FLOPs within 1 % of it."""
    letters = letters_of(module)
    found = measure(module, batch)
    parameters = evaluated(doc, "Parameters", letters | dict(options))
    assert found["fusion_parameters"] == parameters, f"{found['fusion_parameters']} parameters, formula {parameters}"
    training = evaluated(doc, "In training", letters | dict(options)) if module.training_only else 0
    assert found["training_parameters"] == training, f"{found['training_parameters']} in training, formula {training}"
    flops = evaluated(doc, "FLOPs", letters | dict(options))
    counted = found["fusion_flops_per_sample"]
    assert abs(counted - flops) <= 0.01 * flops, f"{counted} FLOPs per sample, formula {flops}"


def check_matching(
    make: Callable[[Setting], FusionModule], doc: str, options: Mapping[str, Any], setting: Setting
) -> None:
    """Point 9: the head's width gives any number of parameters within 5 %, or a reason that names the range.

    Args:
        make: builds the strategy for a setting.
        doc: its docstring, whose formula says what each width gives.
        options: those of its that the formula names.
        setting: with any head width.
    """
    letters = letters_of(make(setting)) | dict(options)
    formula = {width: round(evaluated(doc, "Parameters", letters | {"W": width})) for width in (1, 50, 400)}
    assert formula[1] < formula[50] < formula[400], "the width of the head changes nothing"
    count = by_head(make, setting)
    for target in (round(1.04 * formula[50]), round(0.97 * formula[400])):
        match = matched(count, target)
        assert not match.problem, match.problem
        module = make(replace(setting, head_width=match.width))
        found = fusion_parameters(module)
        assert found == match.parameters, f"{found} parameters, {match.parameters} were found without memory"
        assert abs(found - target) <= 0.05 * target, f"{found} parameters for a target of {target}"
    small = matched(count, formula[1] // 2)
    assert f"{formula[1]:,} to " in small.problem, f"{small.target} is out of reach, yet the range is not named"


def letters_of(module: FusionModule) -> dict[str, int]:
    """What the letters of formulas stand for; all modalities are of one kind and have encoders that are alike."""
    spec = module.task.modalities[0]
    letters = {"M": len(module.modalities_used()), "D": WIDTH, "W": HEAD_WIDTH, "C": module.task.classes}
    steps = STEPS if spec.kind in ("image", "audio", *WITH_STEPS) else 1
    letters |= {"T": steps, "P": 0 if spec.kind == "bag" else steps}  # P: steps that have a place in an order.
    if spec.name in module.encoders:
        widths: Any = module.encoders[spec.name].stage_widths
        letters |= {"S": len(widths), "K": widths[-1]}  # S stages with K channels each.
        letters["E"] = sum(parameter.numel() for parameter in module.encoders[spec.name].parameters())
    return letters


def evaluated(doc: str, word: str, letters: Mapping[str, Any]) -> float:
    """The value of the formula after `word:` in a docstring; it goes on over indented lines."""
    found = re.search(rf"^{word}: (.+(?:\n[ \t]+.+)*)", doc, re.MULTILINE)
    assert found, f"the docstring has no line '{word}:'"
    known = {"__builtins__": {}, "log2": math.log2}
    return float(eval(" ".join(found[1].split()), known, dict(letters)))  # noqa: S307  (of a file that runs anyway)
