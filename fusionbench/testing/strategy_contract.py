"""The checks of a strategy, each over all tasks that it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch

from fusionbench.core.catalogue import Plugin, describe, load
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskKind, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing import scale, strategies
from fusionbench.testing.cases import ALIKE, LEARNED, MATCHED, PADDED, SETS, STORED, TASK_KINDS, TASKS, refusal
from fusionbench.testing.contract import Check, NotAsked
from fusionbench.testing.interaction import check_product, check_redundant, check_xor
from fusionbench.testing.samples import batch_of, built, named_task, options_of, setting_of, task_of
from fusionbench.testing.sizes import check_matching, check_size
from fusionbench.testing.stored import check_stored, frozen, frozen_setting, samples_of

Case = tuple[tuple[ModalityKind, ...], TaskKind]
FACTS = {
    "stage": ("input", "feature", "token", "decision", "training"),
    "flow": ("parallel", "sequential"),
    "representation": ("single", "joint", "coordinated"),
    "interaction": ("none", "limited", "full"),
    "fidelity": ("faithful", "adapted", "inspired"),
}
WIDTH, SEEDS = 128, (0, 1, 2)
VECTORS = TaskSpec(tuple(ModalitySpec(name, "vector", (WIDTH,)) for name in ("a", "b")), classes=10)
NETWORK = "a network states neither formula nor facts; make it a FusionModule (fusionbench new strategy NAME)"


def strategy_checks(name: str, modalities: tuple[str, ...] = ()) -> Iterator[Check]:
    """What a strategy has to keep; of any network, what can be asked of it.

    Args:
        name: as a suite names it.
        modalities: what those of its tasks are called; none: m0, m1, ...
    """
    plugin = describe("strategy", name)
    load("strategy", name)
    yield Check("its source says what it does, its formula, counts and source", partial(_stated, plugin))
    for sentence, cases, check in _over_tasks(name, plugin):
        yield Check(sentence, partial(_over, name, list(cases), check, modalities))
    yield Check("heads start on a signal of size 0.3 to 3", partial(_scale, plugin))
    yield Check("a number of parameters is reached by the width of its head", partial(_matching, plugin))
    yield Check("on stored encodings it is what it is on live ones", partial(_stored, plugin, modalities))
    yield Check("what either modality tells is learned", partial(_trained, plugin, check_redundant))
    yield Check("XOR is learned as far as its fact `interaction` says", partial(_trained, plugin, check_xor))
    yield Check("a product is learned as far as its fact `interaction` says", partial(_product, plugin))


def _over_tasks(name: str, plugin: Plugin) -> Iterator[tuple[str, Iterable[Case], Callable[[TaskSpec], None]]]:
    """What is checked on many tasks: a sentence, the tasks, and the check."""

    def alike(sets: Iterable[tuple[ModalityKind, ...]]) -> list[Case]:
        return [(kinds, "multiclass") for kinds in sets]

    def each(check: Callable[..., None], size: int = 6) -> Callable[[TaskSpec], None]:
        return lambda task: check(built(name, task), batch_of(task, size))

    three: tuple[ModalityKind, ...] = ("sequence",) * 3
    s = strategies
    yield "logits are finite for every kind and number of modalities", TASKS, each(s.check_logits)
    if plugin.facts.get("uses") != "none":
        learned: list[Case] = [((one,) * 3, kind) for kind, one in LEARNED]
        yield "every parameter is registered and learns", learned, each(s.check_learning, 32)
    yield "one sample does not see another", alike(PADDED), each(s.check_samples_are_independent)
    yield "each modality matters", alike(SETS), each(s.check_modalities_matter, 16)
    missing = "what stands in the place of a missing modality is not seen"
    yield missing, TASKS, each(s.check_missing_modalities)
    yield "parameters and FLOPs are what the docstring says", alike(ALIKE), partial(_size, plugin)
    yield (
        "a state_dict brings back the model",
        alike([three]),
        lambda task: s.check_state_dict(built(name, task), built(name, task, seed=1), batch_of(task)),
    )
    two: list[Case] = [(("image", "image"), "multiclass")]
    yield "the seed decides the weights", two, lambda task: s.check_seed(lambda seed: built(name, task, seed))
    rough: list[Case] = [(three, kind) for kind in TASK_KINDS]
    yield "bfloat16 stays close", rough, each(s.check_bfloat16)
    yield (
        "torch.export takes plain dicts and any batch size",
        [(("sequence", "image"), "multiclass")],
        lambda task: s.check_export(built(name, task), batch_of(task), batch_of(task, size=9, seed=1)),
    )
    yield "as a layer it takes everything as there", alike([("sequence",) * 2]), each(s.check_forward)


def _over(name: str, cases: list[Case], check: Callable[[TaskSpec], None], modalities: tuple[str, ...] = ()) -> None:
    """The check on each task that the strategy takes; a failure says on which."""
    refused = ""
    cases = [case for case in cases if len(modalities) in (0, len(case[0]))]
    left = len(cases)
    for kinds, kind in cases:
        task = named_task(task_of(kinds, kind), modalities)
        reason = refusal(name, task)
        if reason:
            refused, left = reason, left - 1
            continue
        try:
            check(task)
        except AssertionError as error:
            raise AssertionError(f"{error} (on {kind} of {' and '.join(kinds)})") from error
    if not left:
        raise NotAsked(refused or f"none of its tasks has {len(modalities)} modalities")


def _stated(plugin: Plugin) -> None:
    if plugin.is_network:
        raise NotAsked(NETWORK)
    assert plugin.summary, "it has no docstring; the first sentence says what it does"
    for part in ("Parameters:", "FLOPs:", "Source:"):
        assert f"\n{part} " in plugin.doc, f"its docstring has no line '{part}'"
    for fact, known in FACTS.items():
        given = plugin.facts.get(fact, known[0])
        assert given in known, f"its fact {fact} is {given!r}; give one of {', '.join(known)}"


def _size(plugin: Plugin, task: TaskSpec) -> None:
    if plugin.is_network:
        raise NotAsked(NETWORK)
    check_size(built(plugin.name, task), plugin.doc, options_of(plugin.name, task), batch_of(task))


def _matching(plugin: Plugin) -> None:
    if plugin.is_network or plugin.facts.get("fitted") or plugin.facts.get("uses") == "none":
        raise NotAsked(NETWORK if plugin.is_network else "it has no head whose width could be solved for")

    def matches(task: TaskSpec) -> None:
        options = options_of(plugin.name, task)
        made = partial(load("strategy", plugin.name), **options)
        check_matching(made, plugin.doc, options, setting_of(task))

    _over(plugin.name, [(kinds, "multiclass") for kinds in MATCHED], matches)


def _scale(plugin: Plugin) -> None:
    """On unit-normal encodings, one modality or none absent from every second sample."""
    if plugin.is_network or plugin.facts.get("fitted") or plugin.facts.get("uses") == "none":
        raise NotAsked(NETWORK if plugin.is_network else "it has no head")
    kind, encoders = load("strategy", plugin.name), {m: Choice("linear", {"width": WIDTH}) for m in VECTORS.names}
    by = plugin.facts.get("per_modality")
    for seed in SEEDS:
        setting = Setting(VECTORS, encoders, WIDTH, WIDTH, seed=seed)
        if reason := kind.unsuitable(setting):
            raise NotAsked(reason)
        torch.manual_seed(seed)
        module: FusionModule = kind(setting, **({str(by): VECTORS.names[0]} if by else {}))
        if set(module.encoders) != set(module.modalities_used()) or not module.cacheable:
            raise NotAsked("it does not start from encodings")
        encoded = scale.unit_normal(VECTORS.names, WIDTH, seed)
        scale.check_scale_of_fusion(module, encoded)
        for name in module.modalities_used():
            scale.check_scale_of_fusion(module, scale.half_absent_encoded(encoded, name))


def _stored(plugin: Plugin, modalities: tuple[str, ...]) -> None:
    if not plugin.facts.get("cacheable", True):
        raise NotAsked("it says that it cannot run on stored encodings (cacheable = False)")
    cases = {name: case for name, case in STORED.items() if len(modalities) in (0, len(case[0]))}
    reason, left = f"none of its tasks has {len(modalities)} modalities", len(cases)
    for case, (kinds, kind, options) in cases.items():
        task = named_task(task_of(kinds, kind), modalities)
        setting = frozen_setting(task, options)
        refused = load("strategy", plugin.name).refusal(setting)
        if refused:
            reason, left = refused, left - 1
            continue
        try:
            check_stored(partial(frozen, plugin.name, setting), samples_of(task))
        except AssertionError as error:
            raise AssertionError(f"{error} (on {case})") from error
    if not left:
        raise NotAsked(reason)


def _trained(plugin: Plugin, check: Callable[[str, Path], None]) -> None:
    if plugin.is_network:
        raise NotAsked(NETWORK)
    if plugin.facts.get("fitted"):
        raise NotAsked("it is solved for on frozen encoders, and here encoders learn")
    with tempfile.TemporaryDirectory() as folder:
        check(plugin.name, Path(folder))


def _product(plugin: Plugin) -> None:
    if needed := plugin.facts.get("needs_classes"):
        raise NotAsked(f"it predicts no numbers: {needed}")
    _trained(plugin, check_product)
