"""What the runner fixes, on its way through a checkpoint."""

from __future__ import annotations

import json

from fusionbench.core.task import Colours, ModalitySpec, TaskSpec
from fusionbench.fusion.base import Setting
from fusionbench.plan.suite import Choice

TASK = TaskSpec(
    (
        ModalitySpec("left", "image", (3, 32, 16), colours=Colours((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))),
        ModalitySpec("text", "tokens", (7,), 11),
    ),
    classes=10,
)
SETTING = Setting(TASK, {"left": Choice("timm", {"width": 8, "weights": "w.pth"}, files={"weights": "ab" * 32})}, 8, 8)


def test_a_setting_survives_the_way_through_json() -> None:
    assert Setting.from_json(json.loads(json.dumps(SETTING.to_json()))) == SETTING


def test_a_setting_of_before_there_were_colours_has_none() -> None:
    old = json.loads(json.dumps(SETTING.to_json()))
    for modality in old["task"]["modalities"]:
        del modality["colours"]
    assert {modality.colours for modality in Setting.from_json(old).task.modalities} == {None}
