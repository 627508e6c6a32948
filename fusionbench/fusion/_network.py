"""A network of the user's own as a strategy: any callable (widths, classes) -> nn.Module, on the encodings of all.

    x_m = encoder_m(...)        (B, D) of each modality m, zeros where it is absent; widths[m] = D
    y   = network({m: x_m})     or network(x_1, ..., x_M): logits (B, C), of a regression numbers

How `forward` is called is read from its signature: by name where its arguments are called as the modalities are; with
one dict where it needs one argument; else with a tensor for each, in the order of the task. Before anything trains it
is tried on random numbers, so that a wrong shape is a line, not a row of failed runs. No docstring, no formula, no
common head: its row says that the contract was not run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.canonical import derived_seed
from fusionbench.core.catalogue import Plugin
from fusionbench.core.errors import UserError, reason_of, shown
from fusionbench.fusion.base import FusionModule, Prediction, Setting

SAMPLES = 3
"""So many are tried before it trains."""
Way = Literal["by name", "as one dict", "in order"]
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class OwnNetwork(FusionModule):
    """What `strategy_of` derives from: the network, and how it is called."""

    interaction, fidelity = "", ""  # type: ignore[assignment]  # Nobody has looked.
    plugin: ClassVar[str] = ""
    make: ClassVar[Callable[..., Any]]

    def __init__(self, setting: Setting, **options: Any) -> None:
        super().__init__(setting)
        self.network = self._made(options)
        self.way = _told(self.plugin, lambda: way_of(self.network, self.task.names))
        if not any(parameter.is_meta for parameter in self.network.parameters()):
            self._try_out()

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each modality -> (B, C)."""
        logits = called(self.network, self.way, {name: one.pooled for name, one in encoded.items()})
        single = self.task.classes == 1 and isinstance(logits, Tensor) and logits.dim() == 1
        return Prediction(logits[:, None] if single else logits)

    def _made(self, options: Mapping[str, Any]) -> nn.Module:
        widths = dict.fromkeys(self.task.names, self.setting.width)
        build = type(self).make
        found = _told(self.plugin, lambda: build(widths, self.task.classes, **options), "cannot be built")
        if not isinstance(found, nn.Module):
            given = f"strategy '{self.plugin}': called with (widths, classes) it gives {_kind(found)}"
            raise UserError(f"{given}; give a torch.nn.Module")
        return found

    def _try_out(self) -> None:
        """Raises UserError where its logits are not (B, C), not finite, or not of its parameters."""
        draw = torch.Generator().manual_seed(derived_seed(self.setting.seed, "network"))
        vectors = {name: torch.randn(SAMPLES, self.setting.width, generator=draw) for name in self.task.names}
        there = torch.ones(SAMPLES, dtype=torch.bool)
        encoded = {name: Encoded(x, x[:, None], there[:, None], there) for name, x in vectors.items()}
        given = f"{self.way}: {', '.join(f'{name} {tuple(x.shape)}' for name, x in vectors.items())}"
        was = [(module, module.training) for module in self.network.modules()]
        self.network.eval()  # So that no statistics of a batch are moved; what it draws, it draws again in training.
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            logits = _told(self.plugin, lambda: self.fuse(encoded).logits, f"its forward, given {given}, failed")
        for module, training in was:
            module.training = training
        self._refuse(logits, given)

    def _refuse(self, logits: Any, given: str) -> None:
        owner, wanted = f"strategy '{self.plugin}': its forward, given {given}", f"({SAMPLES}, {self.task.classes})"
        is_float = isinstance(logits, Tensor) and logits.is_floating_point()
        if not is_float or tuple(logits.shape) != (SAMPLES, self.task.classes):
            raise UserError(f"{owner}, gives {_kind(logits)}; give logits, a float tensor {wanted}")
        if not logits.isfinite().all():
            raise UserError(f"{owner}, gives NaN or infinity before anything is learned")
        if not logits.requires_grad and any(parameter.requires_grad for parameter in self.network.parameters()):
            raise UserError(f"{owner}, gives logits without a gradient: no parameter of it would learn")


def strategy_of(plugin: Plugin, found: Any) -> type[OwnNetwork]:
    """The strategy that trains what a callable builds.

    Raises:
        UserError: it is none, or a strategy already.
    """
    owner = f"strategy '{plugin.name}'"
    if isinstance(found, type) and issubclass(found, FusionModule):
        raise UserError(
            f"{owner} is a FusionModule, which its own file does not show; name FusionModule among its bases there, or "
            "the module in which it is defined"
        )
    if isinstance(found, nn.Module) or not callable(found):
        raise UserError(
            f"{owner} is {_kind(found)}; name what builds a network: a class, or a function, of (widths, classes)"
        )
    facts = {"plugin": plugin.name, "make": staticmethod(found), "display": plugin.facts.get("display", "")}
    made = type(plugin.attribute, (OwnNetwork,), {**facts, "__module__": __name__, "__doc__": plugin.doc})
    made.__init__ = _with_options(plugin.options)  # type: ignore[misc]
    return made


def way_of(network: nn.Module, names: Iterable[str]) -> Way:
    """How its forward is called with a tensor for each of these modalities.

    Raises:
        UserError: it takes another number of arguments.
    """
    modalities, taken = list(names), inspect.signature(network.forward).parameters.values()
    required = [one for one in taken if one.kind in POSITIONAL and one.default is one.empty]
    known = {one.name for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    if set(modalities) <= known and {one.name for one in required} <= set(modalities):
        return "by name"
    if any(one.kind is one.VAR_POSITIONAL for one in taken) and len(required) <= len(modalities):
        return "in order"
    if len(required) == 1 and (len(modalities) > 1 or "dict" in str(required[0].annotation).lower()):
        return "as one dict"
    if len(required) == len(modalities):
        return "in order"
    words = ", ".join(one.name for one in required)
    raise UserError(f"its forward takes ({words}); give it one dict, or a tensor for each of {', '.join(modalities)}")


def called(network: nn.Module, way: Way, vectors: dict[str, Tensor]) -> Any:
    """What the network gives of (B, D) of each modality."""
    if way == "as one dict":
        return network(vectors)
    return network(**vectors) if way == "by name" else network(*vectors.values())


def _with_options(options: Iterable[str]) -> Callable[..., None]:
    """The constructor, with the options that a checkpoint notes by name."""

    def begun(self: OwnNetwork, setting: Setting, **options: Any) -> None:
        OwnNetwork.__init__(self, setting, **options)

    first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "setting")]
    more = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in options]
    begun.__signature__ = inspect.Signature([*first, *more])  # type: ignore[attr-defined]
    return begun


def _told(plugin: str, does: Callable[[], Any], what: str = "") -> Any:
    """What it gives; whatever the user's own code raises is one line."""
    try:
        return does()
    except UserError as error:
        raise UserError(f"strategy '{plugin}': {error}") from error
    except Exception as error:
        raise UserError(f"strategy '{plugin}': {what}: {reason_of(error)}") from error


def _kind(found: object) -> str:
    if isinstance(found, Tensor):
        return f"a tensor {str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}"
    if isinstance(found, nn.Module):
        return f"a {type(found).__name__} that is built already"
    if isinstance(found, tuple | list | dict):
        return f"a {type(found).__name__} of {len(found)}"
    return "nothing" if found is None else f"{type(found).__name__} {shown(found)}"
