"""Strategies that attend to steps, against their formulas by means of torch's own layers; what all of them promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from token_samples import SEQUENCES, encodings, shaken, shaken_module
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskSpec
from fusionbench.fusion._attention import ClassToken, CrossAttention, FeedForward, TransformerBlock
from fusionbench.fusion.blocks import masked_softmax
from fusionbench.fusion.bottleneck import BottleneckFusion
from fusionbench.fusion.early_transformer import EarlyTransformerFusion
from fusionbench.fusion.late_transformer import LateTransformerFusion
from fusionbench.fusion.perceiver import PerceiverFusion
from fusionbench.testing.samples import CLASSES, WIDTH, batch_of, built, setting_of, task_of

FAMILY = ("bottleneck", "co_attention", "early_transformer", "hierarchical_attention", "late_transformer", "perceiver")


def encoder_layer(block: TransformerBlock) -> nn.TransformerEncoderLayer:
    """torch's own layer with the block's weights."""
    theirs = nn.TransformerEncoderLayer(
        WIDTH, block.attention.heads, 4 * WIDTH, 0.0, activation="gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        copy_attention(theirs.self_attn, block.attention)
    theirs.norm1.load_state_dict(block.norm.state_dict())
    theirs.norm2.load_state_dict(block.forward_part.norm.state_dict())
    theirs.linear1.load_state_dict(block.forward_part.expand.state_dict())
    theirs.linear2.load_state_dict(block.forward_part.contract.state_dict())
    return theirs


def copy_attention(theirs: nn.MultiheadAttention, ours: CrossAttention) -> nn.MultiheadAttention:
    """Give torch's attention our weights; it has biases of keys and values besides, which are 0 here."""
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.zeros(2 * WIDTH)]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


def test_a_block_is_the_encoder_layer_of_torch() -> None:
    block = TransformerBlock(WIDTH, 2, 0.0).eval()
    shaken(block)
    one = encodings()["m2"]
    theirs = encoder_layer(block)
    expected = theirs(one.tokens, src_key_padding_mask=~one.mask)
    torch.testing.assert_close(block(one.tokens, one.mask)[one.mask], expected[one.mask])
    torch.testing.assert_close(block(one.tokens, one.mask, 1), expected[:, :1])


def test_a_class_token_is_what_a_whole_transformer_makes_of_it() -> None:
    ours = ClassToken(WIDTH, heads=2, layers=3, dropout=0.0).eval()
    shaken(ours)
    one = encodings()["m0"]  # Sample 1 has no real step: the token is alone.
    z = torch.cat([ours.token.expand(4, 1, WIDTH), one.tokens], 1)
    hidden = torch.cat([torch.zeros(4, 1, dtype=torch.bool), ~one.mask], 1)
    for block in ours.blocks:
        assert isinstance(block, TransformerBlock)
        z = encoder_layer(block)(z, src_key_padding_mask=hidden)
    torch.testing.assert_close(ours(one.tokens, one.mask), ours.norm(z[:, 0]))


def test_a_masked_softmax_over_nothing_is_zero_with_a_finite_gradient() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    weights = masked_softmax(scores, torch.tensor([[True, False, True], [False] * 3]))
    loss: Any = weights.square().sum()
    loss.backward()
    assert weights[:, 1].eq(0).all()
    assert weights[1].eq(0).all()
    torch.testing.assert_close(weights[0, [0, 2]], scores[0, [0, 2]].softmax(0))
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_early_and_late_transformer_read_steps_or_vectors_with_their_modality() -> None:
    early, late, encoded = shaken_module("early_transformer"), shaken_module("late_transformer"), encodings()
    assert isinstance(early, EarlyTransformerFusion)
    assert isinstance(late, LateTransformerFusion)
    for row in range(4):
        here = [i for i, one in enumerate(encoded.values()) if one.present[row]]
        real = [encoded[f"m{i}"].tokens[row][encoded[f"m{i}"].mask[row]] + early.modality_embedding[i] for i in here]
        steps = torch.cat(real)[None]  # Only what is real, one after another: no mask at all.
        alone = early.transformer(steps, torch.ones(steps.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(early.fuse(encoded).logits[row], early.head(alone)[0])
        vectors = torch.stack([late.projections[i](encoded[f"m{i}"].pooled[row]) for i in here])[None]
        alone = late.transformer(vectors, torch.ones(vectors.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(late.fuse(encoded).logits[row], late.head(alone)[0])


def attended(block: TransformerBlock, z: Tensor) -> Tensor:
    """A block by torch's attention and plain arithmetic; every step of z (1, T, D) is real."""
    theirs = copy_attention(nn.MultiheadAttention(WIDTH, block.attention.heads, batch_first=True), block.attention)
    steps = block.norm(z)
    return fed_forward(block.forward_part, z + theirs(steps, steps, steps)[0])


def fed_forward(part: FeedForward, z: Tensor) -> Tensor:
    hidden = part.norm(z) @ part.expand.weight.T + part.expand.bias
    # GELU by tanh, as both authors' libraries compute it.
    gelu = 0.5 * hidden * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)))
    return z + gelu @ part.contract.weight.T + part.contract.bias


def bottleneck_by_hand(module: BottleneckFusion, encoded: dict[str, Encoded], row: int) -> Tensor:
    """Logits (C,) of one sample, over its own modalities and real steps only: nothing is masked."""
    names = list(encoded)
    here = [name for name in names if encoded[name].present[row]]
    z = {}
    for name in here:
        positions = module.positions[names.index(name)]
        steps, mask = encoded[name].tokens[row], encoded[name].mask[row]
        z[name] = torch.cat([positions[:1], (steps + positions[1 : len(steps) + 1])[mask]])[None]
    shared: Tensor = module.bottlenecks
    for number, blocks in enumerate(module.layers):
        assert isinstance(blocks, nn.ModuleList)
        told = []
        for name in here:
            block = blocks[names.index(name)]
            assert isinstance(block, TransformerBlock)
            if number < module.own_layers:
                z[name] = attended(block, z[name])
                continue
            both = attended(block, torch.cat([z[name], shared], 1))
            z[name] = both[:, : z[name].shape[1]]
            told.append(both[:, z[name].shape[1] :])
        shared = torch.stack(told).mean(0) if told else shared
    return torch.stack([module.head(module.norm(z[name][0, 0])) for name in here]).mean(0)


def bottleneck(**options: int) -> BottleneckFusion:
    """Three sequences of up to 5, 3 and 4 steps, as `encodings` has them."""
    specs = (ModalitySpec(f"m{i}", "sequence", (length, 3)) for i, length in enumerate((5, 3, 4)))
    module = BottleneckFusion(setting_of(TaskSpec(tuple(specs), CLASSES)), heads=2, **options).eval()
    shaken(module)
    return module


@pytest.mark.parametrize(("own", "fusing"), [(0, 2), (1, 2), (3, 4)])
def test_bottleneck_is_the_loop_written_out_with_the_attention_of_torch(own: int, fusing: int) -> None:
    module, encoded = bottleneck(own_layers=own, layers=fusing), encodings()
    found = module.fuse(encoded).logits
    for row in range(4):
        torch.testing.assert_close(found[row], bottleneck_by_hand(module, encoded, row))


def test_nothing_but_the_bottlenecks_lets_one_modality_see_another() -> None:
    module, encoded = bottleneck(), encodings()
    other = encoded | {"m2": replace(encoded["m2"], tokens=-encoded["m2"].tokens)}
    present = torch.stack([one.present for one in encoded.values()], 1)

    def moved() -> list[bool]:
        both = module.class_tokens(encoded, present), module.class_tokens(other, present)
        return [not torch.allclose(z, changed) for z, changed in zip(both[0].unbind(1), both[1].unbind(1), strict=True)]

    assert moved() == [True, True, True]
    module.layers = module.layers[
        : module.own_layers + 1
    ]  # One layer that fuses: the bottlenecks have told nobody yet.
    assert moved() == [False, False, True]


def test_bottleneck_has_a_position_for_every_step_that_an_encoder_gives_and_none_for_a_bag() -> None:
    for kind, places in (("image", 4), ("vector", 1), ("sequence", 4), ("tokens", 4), ("bag", 0)):
        module = built("bottleneck", task_of((cast(ModalityKind, kind),)))
        assert isinstance(module, BottleneckFusion)
        assert [len(one) for one in module.positions] == [1 + places]
        assert all(part.training for part in module.modules())


def perceiver_by_hand(module: PerceiverFusion, encoded: dict[str, Encoded], row: int) -> Tensor:
    """Logits (C,) of one sample over its real steps, by the attention of torch."""
    real = [one.tokens[row][one.mask[row]] + module.modality_embedding[i] for i, one in enumerate(encoded.values())]
    steps = torch.cat(real)[None]
    z: Tensor = module.latents
    for turn in range(module.rounds):
        look: Any = module.looks[min(turn, 1)]
        theirs = copy_attention(nn.MultiheadAttention(WIDTH, 1, batch_first=True), look.attention)
        answering = look.before_answering(steps)
        z = fed_forward(look.forward_part, z + theirs(look.before_asking(z), answering, answering)[0])
        for block in module.blocks:
            assert isinstance(block, TransformerBlock)
            z = attended(block, z)
    return module.head(z.mean(1))[0]


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_perceiver_is_the_loop_written_out_with_the_attention_of_torch(rounds: int) -> None:
    encoded = encodings()
    module = PerceiverFusion(setting_of(task_of(SEQUENCES)), latents=5, rounds=rounds, layers=2, heads=2).eval()
    shaken(module)
    found = module.fuse(encoded).logits
    for row in range(4):
        torch.testing.assert_close(found[row], perceiver_by_hand(module, encoded, row))
    assert len(module.looks) == min(rounds, 2)


@pytest.mark.parametrize("strategy", FAMILY)
def test_a_sample_of_which_nothing_is_there_gives_finite_logits_and_gradients(strategy: str) -> None:
    task = task_of(("sequence", "image"))
    module, batch = built(strategy, task), batch_of(task)
    for name in task.names:
        batch.present[name][0] = False
    logits = module.predict(batch).logits
    loss: Any = logits.square().sum()
    loss.backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("bottleneck", {"bottlenecks": 0}, ["bottlenecks is 0", "at least 1"]),
        ("bottleneck", {"layers": 1}, ["layers is 1", "at least 2"]),
        ("bottleneck", {"own_layers": -1}, ["own_layers is -1", "at least 0"]),
        ("bottleneck", {"heads": 3}, ["heads is 3", f"width {WIDTH}", "1, 2, 4, 8"]),
        ("late_transformer", {"layers": 0}, ["layers is 0", "at least 1"]),
        ("late_transformer", {"heads": 0}, ["heads is 0", "at least 1"]),
        ("early_transformer", {"layers": 0}, ["layers is 0", "at least 1"]),
        ("early_transformer", {"heads": 5}, ["heads is 5", f"width {WIDTH}", "1, 2, 4, 8"]),
        ("perceiver", {"latents": 0}, ["latents is 0", "at least 1"]),
        ("perceiver", {"rounds": 0}, ["rounds is 0", "at least 1"]),
        ("perceiver", {"layers": -1}, ["layers is -1", "at least 1"]),
        ("perceiver", {"heads": 16}, ["heads is 16", f"width {WIDTH}", "1, 2, 4, 8"]),
        ("co_attention", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("hierarchical_attention", {"hidden": 0}, ["hidden is 0", "at least 1"]),
    ],
)
def test_an_option_out_of_range_is_refused_with_the_range(
    strategy: str, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(task_of(SEQUENCES)), **options)
    assert all(word in str(caught.value) for word in (f"'{strategy}'", *words)), str(caught.value)


def test_co_attention_needs_a_second_modality() -> None:
    assert "two modalities" in load("strategy", "co_attention").unsuitable(setting_of(task_of(("sequence",))))
