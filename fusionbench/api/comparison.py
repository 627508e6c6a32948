"""`fusionbench.compare`: strategies compared on the user's own arrays, as a suite compares them on a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionbench.api.callables import Strategy, named
from fusionbench.api.limits import of_call
from fusionbench.api.own_data import understood
from fusionbench.api.results import Results
from fusionbench.api.running import finish, refuse_torchrun, shown
from fusionbench.api.work import Work, listed, planned, statuses

STRATEGIES = (
    *("chance", "unimodal", "unimodal_ensemble", "early", "concat", "sum", "gated", "low_rank", "cross_attention"),
    "late",
)
"""Those of the suite quickstart: baselines, and one of each kind of fusion."""


def compare(
    inputs: Mapping[str, Any],
    targets: Any,
    *,
    strategies: Strategy | Sequence[Strategy] = STRATEGIES,
    seeds: int | Sequence[int] = 3,
    groups: Any = None,
    test: Any = None,
    kind: str | None = None,
    metric: str | None = None,
    masks: Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    text_length: int = 256,
    encoders: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    tracks: Sequence[str | Mapping[str, Any]] | None = None,
    measures: Sequence[str | Mapping[str, Any]] | None = None,
    name: str = "compare",
    results: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    again: str | Sequence[str] = (),
    workers: int | None = None,
    devices: int | None = None,
    threads: int = 1,
    time_limit: float | None = None,
    progress: bool = True,
    debug: bool = False,
) -> Results:
    """Train fusion strategies on one's own arrays, all on the same rows, encoders and budget, and compare them.

    >>> result = compare({"left": x[:, :32], "right": x[:, 32:]}, y)  # doctest: +SKIP
    >>> print(result.best())  # doctest: +SKIP

    Rows are samples: row i of every array is sample i. The arrays are kept in the data folder by the hash of their
    contents, so the same call goes on where it was stopped, and finds what is done; with changed arrays it begins anew.
    It may be called anywhere: in a script (no `if __name__ == "__main__":` is needed), a notebook, or a thread.

    Args:
        inputs: by name of a modality, an array, tensor, list, or column of pandas: (n,) or (n, F) numbers are a vector;
            (n, T, F), or a list of (T_i, F), a sequence; (n, C, H, W) or (n, H, W, C) a picture; words a text.
        targets: (n,) whole numbers or words, a class each; (n, C) zeros and ones, each class true or not; other numbers
            are to be predicted, (n,) or (n, C).
        strategies: names, mappings with name and options, or your own network: a class or function (widths: dict,
            classes: int) -> torch.nn.Module, whose forward takes a dict of tensors, or a tensor for each modality,
            (B, widths[name]) each, and returns logits (B, classes). By name it is "mine.nets:Net" or "nets.py:Net". Its
            row says that the contract was not run. "all" stands for every one that is shipped.
        seeds: how many, or which. A seed draws validation rows, initial weights and order; from 6 on, a table is more
            than exploratory.
        groups: (n,): rows that share one are not independent (pictures of one person) and stay in one part.
        test: bool (n,) or the numbers of the rows for the test, or what fraction to draw of every class, once and for
            all; None: a fifth. The others are for training, an eighth of them for validation.
        kind: "multiclass", "multilabel" or "regression", where targets do not show it: whole numbers may be an amount.
        metric: the score that ranks and picks epochs, e.g. "auroc", "nll" or "mae"; None: accuracy, GAP@20 or R2.
        masks: by name of a sequence (n, T, F), bool (n, T): which steps are real.
        kinds: by name, where inputs do not show it: vector, sequence, image ((n, H, W) is one too), tokens (a text as
            subwords), text (raw, for an encoder that comes trained).
        text_length: subwords of a text that are read, from its beginning.
        encoders: as in a suite, by name of a modality or kind: {"image": {"name": "small_cnn", "options": {...}}}.
        budget: as in a suite: epochs, batch_size, learning_rate, ...; what is left out follows from the number of rows.
        tracks: as in a suite; None: `same_encoders`.
        measures: as in a suite; None: the sizes of models.
        name: of the comparison, a folder below `results`.
        results: the folder of records; None: `results`.
        data: the data folder; None: $FUSIONBENCH_DATA or ~/.cache/fusionbench.
        again: do runs again whose records have these statuses: failed, diverged, skipped.
        workers: runs at a time; None: as many as the GPUs, or else cores, allow.
        devices: GPUs, or processes, that train a run together; None: one.
        threads: torch threads per run.
        time_limit: seconds; what is left out then is whole seeds as far as possible, and `left_out` names it.
        progress: whether it is shown: bars in a notebook or on a terminal, else lines on standard error.
        debug: whether workers' output is shown.

    Raises:
        UserError: wrong use or bad data; one or two lines say what, where and the way out.
        KeyboardInterrupt: stopped; what is done is recorded, and no process or claim is left.
    """
    refuse_torchrun("fusionbench.compare")
    found = understood(inputs, targets, kind, masks or {}, kinds or {}, groups, test)
    folder = Path(results or "results")
    own = named(strategies, folder / name)
    parts: dict[str, Any] = {"strategies": own if isinstance(own, list | str) else [own], "seeds": seeds}
    parts |= {"encoders": encoders, "tracks": tracks, "measures": measures}
    made, runs = planned(found.suite(name, metric, text_length, budget or {}, parts))
    folders = folder, None if data is None else Path(data)
    work = Work(made, runs, *folders, workers, devices, threads, debug=debug)
    found.write(work.data)
    return finish(work, statuses(listed(again)), shown(progress), of_call(time_limit), found.about)
