"""The checks of an encoder, each over all kinds of modalities that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fusionbench.core.catalogue import Plugin, describe, load
from fusionbench.encoders.base import Encoder
from fusionbench.testing import encoders
from fusionbench.testing.contract import Check, NotAsked
from fusionbench.testing.encoders import SPECS, WITH_STEPS, built, kinds_of

GARBAGE = (1e6, float("nan"))


def encoder_checks(name: str) -> Iterator[Check]:
    """What an encoder has to keep."""
    plugin = describe("encoder", name)
    load("encoder", name)
    e, ids = encoders, ("tokens", "bag")
    yield Check("its source says what it does and which kinds it reads", partial(_stated, plugin))
    for sentence, kinds, check in (
        ("encodings have the shapes that fusion expects", tuple(SPECS), e.check_shapes),
        ("a sample does not see another, in training neither", tuple(SPECS), e.check_batch_mates),
        ("padding is not read", WITH_STEPS, _padding),
        ("a sample without any real step is finite", WITH_STEPS, e.check_no_real_step),
        ("the id 0 is padding", ids, e.check_padding_id),
        ("bfloat16 stays close", tuple(SPECS), e.check_bfloat16),
        ("every parameter gets a gradient", tuple(SPECS), e.check_gradients),
    ):
        yield Check(sentence, partial(_over, name, kinds, check))


def _over(name: str, kinds: tuple[str, ...], check: Callable[[Encoder, str], None]) -> None:
    read = [kind for kind in kinds_of(name) if kind in kinds]
    if not read:
        raise NotAsked(f"it reads none of {', '.join(kinds)}")
    for kind in read:
        try:
            check(built(name, kind), kind)
        except AssertionError as error:
            raise AssertionError(f"{error} (on {kind})") from error


def _padding(encoder: Encoder, kind: str) -> None:
    for garbage in GARBAGE:
        encoders.check_padding(encoder, kind, garbage)


def _stated(plugin: Plugin) -> None:
    assert plugin.summary, "it has no docstring; the first sentence says what it does"
    kinds = kinds_of(plugin.name)
    assert kinds, 'it states no kinds, such as kinds = ("vector",)'
    assert "width" in plugin.options, "it has no keyword-only option `width: int`"
