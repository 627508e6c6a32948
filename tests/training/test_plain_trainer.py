"""What Lightning's Trainer documents, with strategies and a dataset as they are: without our runner."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint

from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.errors import UserError
from fusionbench.data.digits import Digits
from fusionbench.fusion._lightning import MADE_OF, WARM_UP_STEPS, learning_rate_factor
from fusionbench.fusion.alternating import AlternatingFusion
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.gated import GatedFusion
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*does not need to be set.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]
SMALL = (
    Choice("small_cnn", {"width": 16, "channels": [8], "groups": 4}),
    Choice("mlp", {"width": 16, "depth": 1}),
    Choice("mlp", {"width": 16, "depth": 1}, pretrain=Pretraining(epochs=1)),
)
HOOKS = ("concat", "agm", "gradient_blend", "mmpareto", "ogm_ge", "pmr", "evidential", "deep_cca", "modality_dropout")
"""One plain strategy, and those that act in the course of training."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    found = Digits(tmp_path_factory.mktemp("data"), batch_size=64)
    found.setup()
    return found


def made(name: str, data: Digits) -> FusionModule:
    """A strategy of the folder with small encoders that suit it, and its own options."""
    kind: type[FusionModule] = load("strategy", name)
    settings = (Setting(data.task, dict.fromkeys(data.task.names, one), 16, 16, 0.1, epochs=20) for one in SMALL)
    setting = next(one for one in settings if not kind.unsuitable(one))
    own = kind.per_modality or ("modality" if "modality" in describe("strategy", name).options else "")
    torch.manual_seed(0)
    return kind(setting, **({own: "left"} if own else {}))


def trainer(**options: Any) -> Trainer:
    quick: dict[str, Any] = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1, "limit_test_batches": 1}
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    plain: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "enable_model_summary": False}
    return Trainer(**(plain | quick | silent | options))


def logits(module: FusionModule, data: Digits) -> torch.Tensor:
    assert data.parts is not None
    with torch.inference_mode():
        return module.eval().predict(data.batch(data.parts.test[:9])).logits


@pytest.mark.parametrize("name", names("strategy"))
def test_a_strategy_trains_predicts_is_saved_and_comes_back_from_its_checkpoint_alone(
    name: str, data: Digits, tmp_path: Path
) -> None:
    module, path = made(name, data), tmp_path / "last.ckpt"
    run = trainer(precision="bf16-mixed", gradient_clip_val=0.5 if module.automatic_optimization else None)
    run.fit(module, data)
    run.save_checkpoint(path)
    predicted = run.predict(module, data)
    assert predicted is not None
    assert torch.cat(list(predicted)).shape[1] == 10  # type: ignore[arg-type]
    stated = torch.load(path, weights_only=True)[MADE_OF]
    assert json.loads(json.dumps(stated)) == stated
    expected = logits(module, data)
    for again in (type(module).load_from_checkpoint(path), pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert torch.equal(logits(again, data), expected)
        assert again.made_of == module.made_of


def test_predictions_are_of_all_test_rows_in_their_order(data: Digits) -> None:
    module = made("gated", data)
    found = trainer(limit_predict_batches=1.0).predict(module, data)
    assert data.parts is not None
    with torch.inference_mode():
        expected = module.eval().predict(data.batch(data.parts.test)).logits
    torch.testing.assert_close(torch.cat(list(found or [])), expected)  # type: ignore[arg-type]


def test_options_of_a_strategy_and_pretrained_encoders_come_back_from_a_checkpoint(
    data: Digits, tmp_path: Path
) -> None:
    frozen = Choice("mlp", {"width": 16, "depth": 1}, pretrain=Pretraining(epochs=2))
    setting = Setting(data.task, {"left": frozen, "right": SMALL[1]}, 16, 12, dropout=0.3, seed=4)
    run = trainer()
    run.fit(GatedFusion(setting, hidden=7), data)
    run.save_checkpoint(tmp_path / "last.ckpt")
    found = GatedFusion.load_from_checkpoint(tmp_path / "last.ckpt")
    assert found.made_of == {"setting": setting, "hidden": 7}
    assert not found.encoders["left"].training
    changed = GatedFusion.load_from_checkpoint(tmp_path / "last.ckpt", setting=setting, strict=True)
    assert changed.setting is setting


def test_a_checkpoint_of_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match=r"other.ckpt: does not state the setting of a strategy; give setting="):
        ConcatFusion.load_from_checkpoint(tmp_path / "other.ckpt")


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(data: Digits, tmp_path: Path) -> None:
    # The dataset draws by (seed, epoch), so that without dropout nothing else is random.
    setting = Setting(data.task, dict.fromkeys(data.task.names, SMALL[1]), 16, 16)
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole, again = ConcatFusion(setting), ConcatFusion(setting)
    trainer(max_epochs=3, callbacks=[keep], enable_checkpointing=True).fit(whole, data)
    trainer(max_epochs=3).fit(again, data, ckpt_path=tmp_path / "epoch=0.ckpt", weights_only=True)
    assert torch.equal(logits(again, data), logits(whole, data))


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize(
    "options",
    [
        {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"},
        {"accumulate_grad_batches": 2},
        {"overfit_batches": 2, "limit_train_batches": None, "max_epochs": 2},
        {"max_epochs": -1, "max_steps": 5},
        {"fast_dev_run": 2},
        {"val_check_interval": 2, "num_sanity_val_steps": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_a_trainer_may_be_asked_for_works(name: str, options: dict[str, Any], data: Digits) -> None:
    module = made(name, data)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    run = trainer(**options)
    if name == "mmpareto" and "accumulate_grad_batches" in options:
        with pytest.raises(UserError, match="accumulate_grad_batches is 2; it must be 1 here"):
            run.fit(module, data)
        return
    run.fit(module, data)
    assert run.state.finished
    assert any(not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert torch.isfinite(logits(module, data)).all()


@pytest.mark.parametrize("limits", [{"max_time": {"seconds": 1}}, {"max_epochs": -1, "max_time": "00:00:00:01"}])
def test_a_training_without_an_end_warms_up_and_then_keeps_its_rate(limits: dict[str, Any], data: Digits) -> None:
    module = made("concat", data)
    options = {"max_epochs": None} | limits
    run = trainer(**options, limit_val_batches=0)
    run.fit(module, data)
    assert run.global_step > 0
    rate = run.optimizers[0].param_groups[0]["lr"]
    assert rate == pytest.approx(1e-3 * min(1.0, (run.global_step + 1) / WARM_UP_STEPS))


def test_the_rate_of_endless_steps_rises_and_stays() -> None:
    factors = [learning_rate_factor(step, float("inf")) for step in range(300)]
    assert factors[: WARM_UP_STEPS - 1] == pytest.approx(
        [(step + 1) / WARM_UP_STEPS for step in range(WARM_UP_STEPS - 1)]
    )
    assert set(factors[WARM_UP_STEPS - 1 :]) == {1.0}


def test_overfitting_meets_the_same_batches_in_every_epoch(data: Digits) -> None:
    seen: list[list[int]] = []

    class Noting(ConcatFusion):
        def training_step(self, batch: Any, batch_index: int) -> torch.Tensor:
            seen.append(batch.ids.tolist())
            return super().training_step(batch, batch_index)

    module = Noting(Setting(data.task, dict.fromkeys(data.task.names, SMALL[1]), 16, 16))
    trainer(overfit_batches=2, limit_train_batches=None, max_epochs=3).fit(module, data)
    assert len(seen) == 6
    assert seen[0] == seen[2] == seen[4]
    assert seen[1] == seen[3] == seen[5]
    assert set(seen[0]).isdisjoint(seen[1])


@pytest.mark.parametrize("options", [{"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}])
def test_a_strategy_with_steps_of_its_own_says_what_it_cannot_do(options: dict[str, Any], data: Digits) -> None:
    module = AlternatingFusion(Setting(data.task, dict.fromkeys(data.task.names, SMALL[1]), 16, 16))
    with pytest.raises(MisconfigurationException, match=r"not supported for manual optimization. Remove `Trainer"):
        trainer(**options).fit(module, data)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true"])
@pytest.mark.parametrize("name", ["concat", "tensor", "cross_attention", "block", "deep_cca", "pmr"])
def test_a_precision_works_or_is_refused_in_a_sentence(name: str, precision: str, data: Digits) -> None:
    module, run = made(name, data), trainer(precision=precision)
    if name in ("block", "deep_cca", "pmr"):
        told = rf"^\w+ cannot be computed in precision '{precision}' \(.*\); take 32-true, bf16-mixed or 16-mixed$"
        with pytest.raises(UserError, match=told):
            run.fit(module, data)
        return
    run.fit(module, data)
    assert module.dtype == {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}[precision]
    assert {"validation/accuracy", "train/loss"} <= set(run.callback_metrics)


@pytest.mark.timeout(300)
def test_two_spawned_processes_train_what_one_trains(data: Digits) -> None:
    setting = Setting(data.task, dict.fromkeys(data.task.names, SMALL[1]), 16, 16)
    found = []
    several: dict[str, Any] = {"strategy": "ddp_spawn", "devices": 2}
    for options in ({}, several):
        own = Digits(data.root, batch_size=64)
        torch.manual_seed(0)
        module = ConcatFusion(setting)
        trainer(max_epochs=2, limit_val_batches=0, **options).fit(module, own)
        found.append(logits(module, data))
    # Rounding alone: gradients of two halves are added up in another order.
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)
