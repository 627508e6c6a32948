"""Networks of timm without classifier and pooling: from scratch, with weights of the hub, or with those of a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import timm
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from fusionbench.core.errors import UserError, nearest, shown
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._weights import misfit, put_into, read_weights

OWNER = "encoder 'timm'"
CACHED = ("model.safetensors", "pytorch_model.bin")
"""What the hub calls a network's weights, in timm's order."""
UNUSABLE = (RuntimeError, TypeError, ValueError, AssertionError)
"""What timm raises for options or weights that a network cannot have."""


@dataclass(frozen=True)
class Trained:
    """Where weights of others come from, if they do."""

    hub: bool
    file: str

    def __bool__(self) -> bool:
        return self.hub or bool(self.file)

    def refuse_other_than_colours(self, spec: ModalitySpec) -> None:
        """What networks of others were trained on.

        Raises:
            UserError: the modality is none such; or weights of the hub and of a file are asked for at once.
        """
        if self.hub and self.file:
            raise UserError(f"{OWNER}: give pretrained: true or weights: FILE, not both")
        if self and spec.colours is None:
            raise UserError(
                f"{OWNER}: pretrained networks read red, green and blue, and '{spec.name}' {spec.shape} is not said "
                "to be that; take a view that is (halves of cifar10), or neither pretrained nor weights"
            )


def made(spec: ModalitySpec, model: str, trained: Trained, size: int) -> tuple[nn.Module, tuple[int, int] | None]:
    """The network, and the height and width that it gets; None: any.

    Raises:
        UserError: no such network, no pretrained weights to be had, weights that do not fit, or a network that cannot
            be used here.
    """
    if model.partition(".")[0] not in timm.list_models():
        near = nearest(model, timm.list_models())
        raise UserError(f"{OWNER}: no model {shown(model)}{near or '.'} timm.list_models() names them")
    try:
        facts = timm.get_pretrained_cfg(model)
        own = facts.input_size[1:] if facts and facts.fixed_input_size else ()
        chosen: dict[str, Any] = {"img_size": size} if own and size else {}
        trunk = timm.create_model(
            model,
            pretrained=trained.hub,
            num_classes=0,
            global_pool="",
            in_chans=spec.shape[0],
            **_cached(facts) if trained.hub else {},
            **chosen,
        )
    except OSError as error:  # Of the network and of the hub: both derive from it.
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{OWNER}: the pretrained weights of '{model}' could not be had ({reason[:120]});\n"
            "run once with network access and the same HF_HOME, or name a file that has them by weights: FILE"
        ) from error
    except UNUSABLE as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{OWNER}: '{model}' cannot be used here: {reason[:200]}") from error
    if trained.file:
        _fill(trunk, model, trained.file)
    return trunk, ((size or own[0], size or own[1]) if own else None)


def _cached(facts: Any) -> dict[str, Any]:
    """What makes timm take weights that the hub's cache has: left to itself, it asks the network every time."""
    if not facts or not facts.hf_hub_id:
        return {}
    name, _, revision = facts.hf_hub_id.partition("@")
    for file in (facts.hf_hub_filename,) if facts.hf_hub_filename else CACHED:
        found = try_to_load_from_cache(name, file, revision=revision or None)
        if isinstance(found, str) and not facts.custom_load:
            return {"pretrained_cfg_overlay": {"state_dict": read_weights(found, OWNER)}}
    return {}


def _fill(trunk: nn.Module, model: str, file: str) -> None:
    """Put the weights of a file in, if need be converted as timm converts those of the hub."""
    tensors, owner = read_weights(file, OWNER), f"{OWNER}: '{model}'"

    def spare() -> set[str]:
        """The names of the classifier."""
        return set(timm.create_model(model).state_dict())

    if misfit(trunk, tensors, spare):
        tensors = _converted(trunk, tensors, spare) or tensors
    put_into(trunk, tensors, spare, owner, file)


def _converted(trunk: nn.Module, tensors: dict[str, Tensor], spare: Any) -> dict[str, Tensor] | None:
    """The tensors under the names and in the shapes of the network, where timm knows how; else None."""
    convert = getattr(sys.modules[type(trunk).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return None
    try:
        found: dict[str, Tensor] = convert(dict(tensors), trunk)
    except (*UNUSABLE, LookupError, AttributeError):  # Of another network: what does not fit is told in its own names.
        return None
    return None if misfit(trunk, found, spare) else found
