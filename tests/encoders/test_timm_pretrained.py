"""Networks of timm with weights of others: of a file or the hub's cache, in their own normalisation, or refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fusionbench.core.errors import UserError
from fusionbench.core.task import Colours, ModalitySpec, TaskSpec
from fusionbench.encoders.base import Hidden
from fusionbench.encoders.timm import Timm
from fusionbench.fusion.base import Setting
from fusionbench.fusion.early import EarlyFusion
from fusionbench.plan.suite import Choice

COLOURS = Colours((0.4, 0.5, 0.3), (0.2, 0.25, 0.3))
SPEC = ModalitySpec("left", "image", (3, 32, 16), colours=COLOURS)
MODEL = "test_efficientnet"
HERE = torch.ones(4, dtype=torch.bool)


def network(model: str = MODEL, seed: int = 5) -> nn.Module:
    """With statistics of batch norms that are not those it starts with."""
    torch.manual_seed(seed)
    made: nn.Module = timm.create_model(model)
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return made.eval()


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    return str(tmp_path / "w.safetensors")


def built(spec: ModalitySpec = SPEC, **options: Any) -> Timm:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"width": 6, "model": MODEL} | options
    return Timm(spec, **chosen).eval()


def pixels() -> Tensor:
    """From 0 to 1, (4, 3, 32, 16)."""
    return torch.rand(4, 3, 32, 16, generator=torch.Generator().manual_seed(1))


def normalised(x: Tensor, colours: Colours) -> Tensor:
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (colours.mean, colours.std))
    return (x - mean) / std


@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit"])
def test_the_trunk_gets_pixels_in_its_own_normalisation_whatever_the_data_made_of_them(
    tmp_path: Path, model: str
) -> None:
    whole, size = network(model), 160 if model == "test_vit" else 64
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    encoder = built(model=model, weights=str(tmp_path / "w.safetensors"), frozen=True)
    own = Colours(whole.pretrained_cfg["mean"], whole.pretrained_cfg["std"])  # type: ignore[index,arg-type]
    assert own != COLOURS
    sides = (size, size) if model == "test_vit" else (2 * size, size)
    large = nn.functional.interpolate(normalised(pixels(), own), sides, mode="bilinear")
    expected = whole.forward_features(large)  # type: ignore[operator]
    expected = expected.flatten(2).transpose(1, 2) if expected.dim() == 4 else expected
    found = encoder.trunk_features(normalised(pixels(), COLOURS), None, HERE).map
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_another_normalisation_of_the_data_changes_nothing(weights: str) -> None:
    other = Colours((0.1, 0.2, 0.9), (1.0, 0.5, 0.1))
    with torch.no_grad():
        found = [
            built(ModalitySpec("left", "image", (3, 32, 16), colours=colours), weights=weights)(
                normalised(pixels(), colours), None, HERE
            ).tokens
            for colours in (COLOURS, other)
        ]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def saved(tmp_path: Path, form: str) -> str:
    state, path = network().state_dict(), tmp_path / f"{form}.pth"
    wrapped = {"checkpoint": {"epoch": 3, "state_dict": state}, "model": {"model": state}, "half": state}
    found: Any = wrapped.get(form, state)
    if form == "without classifier":
        found = {name: value for name, value in state.items() if not name.startswith("classifier.")}
    if form == "without counters":
        found = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(found, path)
    return str(path)


@pytest.mark.parametrize("form", ["plain", "checkpoint", "model", "without classifier", "without counters"])
def test_a_file_of_torch_holds_the_same_in_any_usual_form(tmp_path: Path, weights: str, form: str) -> None:
    ours, same = (built(weights=path).trunk.state_dict() for path in (weights, saved(tmp_path, form)))
    assert ours.keys() == same.keys()
    assert all(torch.equal(value, same[name]) for name, value in ours.items())
    assert torch.equal(ours["conv_stem.weight"], network().state_dict()["conv_stem.weight"])


def test_batch_norms_keep_the_statistics_of_the_file_while_the_network_is_trained(weights: str) -> None:
    encoder = built(weights=weights).train()
    before = {name: value.clone() for name, value in encoder.trunk.named_buffers()}
    encoder(pixels(), None, HERE).pooled.sum().backward()
    assert before
    assert all(torch.equal(value, before[name]) for name, value in encoder.trunk.named_buffers())
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_a_network_of_one_size_takes_weights_of_another_as_timm_does(tmp_path: Path) -> None:
    save_file(network("test_vit").state_dict(), tmp_path / "w.safetensors")
    encoder = built(model="test_vit", weights=str(tmp_path / "w.safetensors"), size=48)
    assert encoder.trunk_features(pixels(), None, HERE).map.shape[1] == 9 + 1
    plain = network("test_vit").state_dict()
    assert torch.equal(encoder.trunk.state_dict()["blocks.0.mlp.fc1.weight"], plain["blocks.0.mlp.fc1.weight"])


def test_a_frozen_trunk_is_one_for_all_seeds_and_another_for_other_weights_or_sizes(
    tmp_path: Path, weights: str
) -> None:
    def name_of(path: str = weights, colours: Colours = COLOURS, **options: Any) -> str:
        found = built(ModalitySpec("x", "image", (3, 32, 16), colours=colours), weights=path, frozen=True, **options)
        trunk = found.frozen_trunk()
        assert trunk is not None
        assert trunk.reads_data_alone
        return trunk.sha256()

    save_file(network(seed=6).state_dict(), tmp_path / "other.safetensors")
    assert name_of() == name_of(colours=Colours((0.0,) * 3, (1.0,) * 3)) == name_of(saved(tmp_path, "plain"))
    assert len({name_of(), name_of(str(tmp_path / "other.safetensors")), name_of(size=48)}) == 3
    assert name_of(width=12) == name_of()
    assert built(weights=weights).frozen_trunk() is None
    scratch = built(frozen=True).frozen_trunk()
    assert scratch is not None
    assert not scratch.reads_data_alone


def test_the_map_behind_a_frozen_trunk_reads_what_was_kept_of_it(weights: str) -> None:
    encoder = built(weights=weights, frozen=True)
    with torch.no_grad():
        features = encoder.trunk_features(pixels(), None, HERE)
        live = encoder(pixels(), None, HERE)
        assert features.mask is not None
        stored = encoder.finish(Hidden(features.map.clone(), features.mask.clone(), HERE))
    assert features.kept is None
    torch.testing.assert_close(live.tokens, stored.tokens, rtol=0, atol=1e-5)
    torch.testing.assert_close(live.pooled, stored.pooled, rtol=0, atol=1e-5)
    assert torch.equal(live.mask, stored.mask)


def test_weights_that_do_not_fit_are_one_line_that_says_which(tmp_path: Path, weights: str) -> None:
    with pytest.raises(UserError) as raised:
        built(model="test_resnet", weights=weights)
    said = str(raised.value)
    assert said.startswith(f"encoder 'timm': 'test_resnet': {weights} does not fit: ")
    assert "missing in the file: conv1.0.weight, " in said
    assert "unknown to the network: blocks.0.0." in said
    assert "of another shape: bn1.weight is (24,) in the file and (32,) in the network, " in said
    state = network().state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"][:, :1].contiguous()
    save_file(state, tmp_path / "grey.safetensors")
    with pytest.raises(UserError, match=r"1 of another shape: conv_stem\.weight is .* in the file"):
        built(weights=str(tmp_path / "grey.safetensors"))
    assert len(said.splitlines()) == 1


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_that_holds_code_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    torch.save({"conv_stem.weight": Hostile(tmp_path / "pwned")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth is damaged, or holds more than tensors, .* and was not run") as raised:
        built(weights=str(tmp_path / "w.pth"))
    assert len(str(raised.value).splitlines()) == 2
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_one_or_two_lines(tmp_path: Path, weights: str, suffix: str, share: float) -> None:
    source = Path(weights if suffix == ".safetensors" else saved(tmp_path, "plain")).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(source[: int(share * len(source))])
    with pytest.raises(UserError, match=f"encoder 'timm': .*cut{suffix} is damaged") as raised:
        built(weights=str(path))
    assert len(str(raised.value).splitlines()) <= 2


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, torch.zeros(3), {"state_dict": 4}])
def test_a_file_without_named_tensors_is_one_line(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth holds no tensors by name"):
        built(weights=str(tmp_path / "w.pth"))


def test_pictures_that_are_not_said_to_be_in_colours_are_refused(weights: str) -> None:
    for shape in ((1, 32, 32), (2, 32, 32), (3, 8, 8)):
        for options in ({"weights": weights}, {"pretrained": True}):
            with pytest.raises(UserError, match="pretrained networks read red, green and blue, and 'luma'") as raised:
                built(ModalitySpec("luma", "image", shape), **options)
            assert len(str(raised.value).splitlines()) == 1


def test_a_fusion_of_raw_inputs_does_not_put_them_into_a_network_of_others() -> None:
    task = TaskSpec((SPEC, replace(SPEC, name="right")), classes=2)
    for options in ({"weights": "w.pth"}, {"pretrained": True}):
        choice = Choice("timm", {"width": 8, "model": MODEL, **options})
        setting = Setting(task, {"left": choice, "right": choice}, 8, 8)
        assert "reads all modalities at once" in EarlyFusion.unsuitable(setting)
    scratch = Choice("timm", {"width": 8, "model": MODEL, "pretrained": False})
    assert not EarlyFusion.unsuitable(Setting(task, {"left": scratch, "right": scratch}, 8, 8))


def test_weights_from_two_places_are_refused(weights: str) -> None:
    with pytest.raises(UserError, match="pretrained: true or weights: FILE, not both"):
        built(weights=weights, pretrained=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_weights_of_the_hub_are_found_in_its_cache_without_a_network(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub / "models--timm--test_efficientnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(network().state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr("socket.socket", None)  # Whatever asks the network fails.
    found, state = built(pretrained=True).trunk.state_dict(), network().state_dict()
    assert found
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_weights_of_the_hub_that_cannot_be_had_are_two_lines_with_both_ways_to_get_them(hub: Path) -> None:
    with pytest.raises(UserError, match=f"pretrained weights of '{MODEL}' could not be had") as raised:
        built(pretrained=True)
    assert len(str(raised.value).splitlines()) == 2
    assert "same HF_HOME" in str(raised.value)
    assert "weights: FILE" in str(raised.value)
