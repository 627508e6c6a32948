"""Transformers in which one modality leads: MCAN's guide and the gated reader, against numbers of others' own files."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from parity_fixtures import parity
from token_samples import encodings, shaken
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion._attention import CrossAttention
from fusionbench.fusion.base import Setting
from fusionbench.fusion.co_attention_transformer import AttentionPool, CoAttentionTransformer, Unit
from fusionbench.fusion.gated_cross_attention import GatedBlock, GatedCrossAttentionFusion
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, setting_of, task_of

PAIR = task_of(("sequence", "sequence"))


class Weights:
    """The authors' weights, end to end in the order of their state_dict, taken one after the other into ours."""

    def __init__(self, flat: Tensor) -> None:
        self.flat, self.at = flat.float(), 0

    def take(self, *shape: int) -> Tensor:
        start, self.at = self.at, self.at + math.prod(shape)
        return self.flat[start : self.at].view(shape)

    def linear(self, ours: nn.Linear) -> None:
        ours.weight.copy_(self.take(*ours.weight.shape))
        bias = self.take(ours.out_features)
        if ours.bias is not None:  # Else it cancels in a softmax.
            ours.bias.copy_(bias)

    def attention(self, ours: CrossAttention) -> None:
        square = (WIDTH, WIDTH)
        value, of_value = self.take(*square), self.take(WIDTH)
        key, _ = self.take(*square), self.take(WIDTH)  # A bias of the keys cancels in the softmax.
        self.linear(ours.query)
        self.linear(ours.out)
        ours.key_value.weight.copy_(torch.cat([key, value]))
        ours.out.bias.add_(ours.out.weight @ of_value)  # Attention adds up to 1.

    def norm(self, ours: nn.LayerNorm) -> None:
        # Theirs divides by the standard deviation with N - 1, not N.
        ours.weight.copy_(self.take(WIDTH) * math.sqrt((WIDTH - 1) / WIDTH))
        ours.bias.copy_(self.take(WIDTH))

    def unit(self, ours: Unit) -> None:
        for attention in (ours.own, ours.to_guide):
            if attention is not None:
                self.attention(attention)
        self.linear(ours.expand)
        self.linear(ours.contract)
        for norm in ours.norms:
            assert isinstance(norm, nn.LayerNorm)
            self.norm(norm)

    def pool(self, ours: AttentionPool) -> None:
        for linear in (ours.hidden, ours.score, ours.merge):
            self.linear(linear)


def with_their_weights(module: CoAttentionTransformer, flat: Tensor) -> CoAttentionTransformer:
    weights = Weights(flat)
    with torch.no_grad():
        for unit in [part for part in module.modules() if isinstance(part, Unit)]:  # The guide's come first.
            weights.unit(unit)
        for pool in [part for part in module.modules() if isinstance(part, AttentionPool)]:
            weights.pool(pool)
    assert weights.at == len(flat)
    return module


class GuidedBySteps(CoAttentionTransformer):
    """A broken copy: the decoder reads the guide's steps as they come, not what its encoder makes of them."""

    raw: Tensor

    def guided(self, name: str, one: Encoded, leading: Tensor, mask: Tensor) -> Tensor:
        return super().guided(name, one, self.raw, mask)


@pytest.mark.parametrize(("kind", "sound"), [(CoAttentionTransformer, True), (GuidedBySteps, False)])
def test_units_and_pools_give_the_numbers_of_the_authors_files(kind: type[Any], sound: bool) -> None:
    found = parity("co_attention_transformer")
    module = with_their_weights(kind(setting_of(PAIR), guide="m0", heads=2).eval(), found["weights"])
    encoded = {}
    for name in PAIR.names:
        steps, mask = found[f"steps.{name}"].float(), found[f"mask.{name}"]
        encoded[name] = Encoded(steps[:, 0], steps * mask[..., None], mask, torch.ones(len(mask), dtype=torch.bool))
    module.raw = encoded["m0"].tokens
    seen: list[Tensor] = []
    module.head.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    with torch.no_grad():
        module.fuse(encoded)
    assert torch.allclose(seen[0], found["sum"], rtol=1e-4, atol=1e-4) == sound


def test_the_guide_leads_and_is_not_led() -> None:
    module = built("co_attention_transformer", PAIR).eval()
    encoded, other = encodings(2), encodings(3)["m2"]
    changed = {**encoded, "m1": other}
    seen: dict[str, list[Tensor]] = {"m0": [], "m1": []}
    for name, into in seen.items():
        pool = module.get_submodule(f"pools.{name}")
        pool.register_forward_pre_hook(lambda _, inputs, into=into: into.append(inputs[0]))
    with torch.no_grad():
        module.fuse(encoded)
        module.fuse(changed)
        module.fuse({**encoded, "m0": replace(encoded["m0"], tokens=-encoded["m0"].tokens)})
    torch.testing.assert_close(seen["m0"][0], seen["m0"][1], rtol=0, atol=0)
    assert (seen["m1"][0] - seen["m1"][2]).abs().amax(-1)[encoded["m0"].present].amax() > 1e-3


def test_where_the_guide_is_absent_the_others_still_tell() -> None:
    module, batch = built("co_attention_transformer", PAIR), batch_of(PAIR)
    gone = replace(batch, present=batch.present | {"m0": torch.zeros(len(batch), dtype=torch.bool)})
    logits = logits_of(module, gone)
    assert logits.std(0).min() > 1e-4


# --- gated cross-attention ---------------------------------------------------------------------------------------


def test_the_gated_block_gives_the_numbers_of_open_flamingo() -> None:
    found = parity("gated_cross_attention")
    theirs = {name: value.float() for name, value in found.under("weights").items()}
    block = GatedBlock(WIDTH, 2, 0.0)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()  # Theirs has no biases.
        block.gates.copy_(torch.cat([theirs["attn_gate"], theirs["ff_gate"]]))
        for ours, name in ((block.before_attention, "attn.norm"), (block.before_forward, "ff.0")):
            ours.weight.copy_(theirs[f"{name}.weight"])
            ours.bias.copy_(theirs[f"{name}.bias"])
        block.attention.query.weight.copy_(theirs["attn.to_q.weight"])
        block.attention.key_value.weight.copy_(theirs["attn.to_kv.weight"])
        block.attention.out.weight.copy_(theirs["attn.to_out.weight"])
        block.expand.weight.copy_(theirs["ff.1.weight"])
        block.contract.weight.copy_(theirs["ff.3.weight"])
        others = found["others"].float()
        out = block(found["steps"].float(), others, torch.ones(others.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(out, found["out"], rtol=1e-5, atol=1e-5)


def fresh(opening: float) -> GatedCrossAttentionFusion:
    torch.manual_seed(0)
    return GatedCrossAttentionFusion(setting_of(PAIR), reader="m0", opening=opening).eval()


@pytest.mark.parametrize(("opening", "closed"), [(0.0, True), (0.1, False)])
def test_a_fresh_model_is_that_of_the_reader_alone_to_the_bit(opening: float, closed: bool) -> None:
    module, encoded = fresh(opening), encodings(2)
    other = replace(encoded["m1"], tokens=7 - encoded["m1"].tokens)
    with torch.no_grad():
        before, after = (module.fuse({**encoded, "m1": one}).logits for one in (encoded["m1"], other))
    assert torch.equal(before, after) == closed


def test_closed_gates_learn_and_let_the_rest_learn_once_they_open() -> None:
    module, encoded = fresh(0.0), encodings(2)
    attention = module.get_submodule("gated.0.attention.query")
    for opened in (False, True):
        module.zero_grad()
        module.fuse(encoded).logits.square().sum().backward()  # type: ignore[no-untyped-call]
        for block in module.gated:
            assert isinstance(block, GatedBlock)
            assert block.gates.grad is not None
            assert block.gates.grad.abs().min() > 0
            with torch.no_grad():
                block.gates.sub_(0.1 * block.gates.grad.sign())
        gradients = [parameter.grad for parameter in attention.parameters()]
        assert all((gradient is not None and bool(gradient.any())) == opened for gradient in gradients)


def test_where_the_reader_is_absent_its_token_still_reads_the_others() -> None:
    module, batch = built("gated_cross_attention", PAIR), batch_of(PAIR)
    shaken(module)
    gone = replace(batch, present=batch.present | {"m0": torch.zeros(len(batch), dtype=torch.bool)})
    assert logits_of(module, gone).std(0).min() > 1e-4


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("co_attention_transformer", {"guide": "m9"}, ["no modality 'm9'", "m0, m1"]),
        ("co_attention_transformer", {"guide": "m0", "layers": 0}, ["layers is 0", "at least 1"]),
        ("co_attention_transformer", {"guide": "m0", "heads": 3}, ["heads is 3", "1, 2, 4, 8"]),
        ("co_attention_transformer", {"guide": "m0", "dropout": 1.0}, ["dropout is 1.0", "below 1"]),
        ("gated_cross_attention", {"reader": "m9"}, ["no modality 'm9'", "m0, m1"]),
        ("gated_cross_attention", {"reader": "m0", "layers": 0}, ["layers is 0", "at least 1"]),
        ("gated_cross_attention", {"reader": "m0", "heads": 3}, ["heads is 3", "1, 2, 4, 8"]),
        ("gated_cross_attention", {"reader": "m0", "opening": math.inf}, ["opening is inf", "finite"]),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(strategy: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(PAIR), **options)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("strategy", "kinds", "idle"),
    [
        # By layer: queries with their bias and keys, in three attentions of two units; and the pools' hidden and score.
        ("co_attention_transformer", ("vector", "vector"), 2 * 3 * (2 * WIDTH + 1) * WIDTH + 2 * (WIDTH + 2) * WIDTH),
        ("co_attention_transformer", ("vector", "sequence"), 0),
        ("gated_cross_attention", ("sequence", "vector"), 2 * (2 * WIDTH + 1) * WIDTH),
        ("gated_cross_attention", ("vector", "sequence"), 0),
        ("gated_cross_attention", ("vector", "vector", "vector"), 0),
    ],
)
def test_a_row_says_what_is_idle_where_there_is_one_step(
    strategy: str, kinds: tuple[ModalityKind, ...], idle: int
) -> None:
    notes = built(strategy, task_of(kinds)).notes()
    assert [f" {idle} parameters" in note for note in notes] == ([True] if idle else [])


@pytest.mark.parametrize("strategy", ["co_attention_transformer", "gated_cross_attention"])
def test_one_modality_alone_is_refused_with_the_reason(strategy: str) -> None:
    setting: Setting = setting_of(task_of(("sequence",)))
    assert "at least two" in load("strategy", strategy).unsuitable(setting)
