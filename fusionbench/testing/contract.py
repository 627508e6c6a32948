"""The contract of a plug-in, check by check: what `fusionbench contract NAME` runs, and tests may.

>>> from fusionbench.testing.contract import checks_of, outcome_of
>>> for check in checks_of("encoder", "linear"):
...     assert outcome_of(check).state != "failed"
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fusionbench.core.errors import UserError, reason_of
from fusionbench.core.plugin_places import PluginKind

State = Literal["ok", "failed", "skipped"]


class NotAsked(Exception):
    """A check that does not apply here: says why."""


@dataclass(frozen=True)
class Check:
    """One thing that a plug-in has to keep."""

    name: str
    """A sentence."""
    run: Callable[[], None]
    """Raises AssertionError with the reason, or NotAsked."""


@dataclass(frozen=True)
class Outcome:
    """What became of a check."""

    name: str
    state: State
    reason: str = ""
    """In one line; empty where it is kept."""
    trace: str = ""
    """Where the plug-in's own code failed, as Python tells it."""


def checks_of(
    kind: PluginKind,
    name: str,
    data: Path | None = None,
    options: Mapping[str, Any] | None = None,
    modalities: Sequence[str] = (),
) -> Iterator[Check]:
    """All checks of a plug-in, the quick ones first.

    Args:
        kind: strategy, dataset or encoder.
        name: as a suite names it.
        data: of a dataset, the data folder; None: the default one.
        options: of a dataset, what is set of its options.
        modalities: of a strategy, what those of its tasks are called, for one that knows them by name; none: any.

    Raises:
        UserError: there is none of that name, it cannot be imported, or a measure, which has no contract.
    """
    if kind == "strategy":
        from fusionbench.testing.strategy_contract import strategy_checks

        return strategy_checks(name, tuple(modalities))
    if kind == "encoder":
        from fusionbench.testing.encoder_contract import encoder_checks

        return encoder_checks(name)
    if kind == "dataset":
        from fusionbench.testing.dataset_contract import dataset_checks

        return dataset_checks(name, data, dict(options or {}))
    raise UserError(f"{kind} '{name}': only strategies, datasets and encoders have a contract")


def outcome_of(check: Check) -> Outcome:
    """Run it; whatever the plug-in's own code raises is a failure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # What Lightning recommends says nothing of the plug-in.
            check.run()
    except NotAsked as error:
        return Outcome(check.name, "skipped", str(error))
    except (AssertionError, UserError) as error:
        return Outcome(check.name, "failed", " ".join(str(error).split()), traceback.format_exc())
    except Exception as error:  # noqa: BLE001  (the plug-in's own code)
        return Outcome(check.name, "failed", reason_of(error), traceback.format_exc())
    return Outcome(check.name, "ok")
