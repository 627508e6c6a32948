"""Contribution: what each modality gives a model, and whether it uses them together.

A is the score that ranks, its sign turned where lower is better; what stands in a modality's place is that of another
test row.

    EMAP gap          A(f) - A(f^), f^ the nearest additive function (emap.py), at `pairs` rows
    permutation drop  A(f) - mean over `permutations` of A(f with modality m of permuted rows)
    v(S)              A with the modalities outside S permuted, each by itself; mean over the same permutations
    Shapley value     of m in the game v: exact, for up to 5 modalities (shapley.py)
    interaction       of two modalities in it: the Shapley interaction index; of two in all v(12) - v(1) - v(2) + v(0)
    utilisation       u(i given j) = (v(ij) - v(j)) / |v(ij)|

They describe the model, not the data. The drop is Gat's perceptual score before it is normalised. Shapley values are of
another game than missing modalities (robustness): here each is there, and says nothing of this row. Wu's utilisation is
a relative gain of accuracy too, but puts the mean over training rows in the place of the other modality, inside a
network of two branches (src/balanced_mmtm.py of the authors' nyukat/greedy_multimodal_learning).

The standard error of the EMAP gap is that of its rows alone, from 400 resamples of both scores; none where the score
cannot be resampled.

Source: Hessel & Lee 2020, arXiv:2010.06572; Gat et al. 2021, "Perceptual Score", arXiv:2110.14375; Hu et al. 2022,
"SHAPE", arXiv:2205.00302; Wu et al. 2022, arXiv:2202.05306.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.core.scores import good
from fusionbench.data.splits import Rows
from fusionbench.measure.bank import Bank, Places
from fusionbench.measure.emap import projection
from fusionbench.measure.shapley import interactions, shapley_values, subsets
from fusionbench.measure.trained import Trained
from fusionbench.training.predictions import predictions
from fusionbench.training.resamples import resamples_of

needs = "trained"
least = {"rows": 2, "pairs": 2, "permutations": 2}
paper = "hessel2020multimodal, gat2021perceptual, hu2022shape, wu2022characterizing"
MOST_PLAYERS = 5
Values = dict[frozenset[str], list[float]]


def measure(trained: Trained, *, rows: int = 1000, pairs: int = 200, permutations: int = 10) -> dict[str, Any]:
    """All of it, of one model.

    Args:
        trained: the model and its data.
        rows: test rows that drops and Shapley values are of, at most; drawn once for the data.
        pairs: rows whose pairs the EMAP gap is of.
        permutations: of each modality.
    """
    parts = trained.inputs.parts
    assert parts is not None
    with trained.opened():
        gap = _gap(trained, trained.some(parts.test, pairs, "emap"))
        bank = Bank(trained, trained.some(parts.test, rows, "contribution"))
        game = _game(trained, bank, permutations)
    everything = frozenset(trained.task.names)
    found: dict[str, Any] = {
        "metric": trained.task.metric,
        "rows": len(bank),
        "permutations": permutations,
        "emap": gap,
        "drop": {name: _drop(game[everything], game.get(everything - {name})) for name in trained.task.names},
    }
    return found | _of_game({some: fmean(values) for some, values in game.items()}, trained.task.names)


def _gap(trained: Trained, rows: Rows) -> dict[str, Any]:
    """The score of the model and of its projection at these rows, and the gap with its standard error."""
    bank, names = Bank(trained, rows), trained.task.names
    every = np.arange(len(rows))
    own = bank.outputs(dict.fromkeys(names, every), every)
    rng = np.random.default_rng([trained.seed, 0])
    projected = projection(lambda places: bank.outputs(places, _any(places)), names, len(rows), rng, trained.tell)
    scored = (trained.scores([(outputs, bank.targets)], ties=False) for outputs in (own, projected))
    scores = [one.get(trained.task.metric) for one in scored]
    if any(score is None for score in scores):
        return {"rows": len(rows), "gap": None}
    first, second = (good(trained.task.metric, float(score)) for score in scores if score is not None)
    return {
        "rows": len(rows),
        "score": scores[0],
        "projected": scores[1],
        "gap": first - second,
        "standard_error": _error(trained, bank, own, projected.float()),
        "logits_apart": float((own.double() - projected).abs().max()),
    }


def _any(places: Mapping[str, Places]) -> Places:
    """Whose labels the mixed samples have is no matter: nobody looks at them."""
    return next(iter(places.values()))


def _error(trained: Trained, bank: Bank, *outputs: Tensor) -> float | None:
    """The standard deviation of the difference of two models' scores over the same resamples of these rows."""
    task, name = trained.task, f"test/{trained.task.metric}"
    found, ids = [], torch.from_numpy(bank.rows)
    for one in outputs:
        kept = predictions(trained.told(one), bank.targets, ids, task)
        groups = trained.inputs.groups(bank.rows)
        scores = resamples_of("", kept, task, trained.seed, groups).scores
        if name not in scores:
            return None
        found.append(np.asarray(scores[name]))
    return float((found[0] - found[1]).std(ddof=1))


def _game(trained: Trained, bank: Bank, permutations: int) -> Values:
    """By subset of the modalities that stay, A for each permutation of the others; a score that is undefined is not in.

    With more than five modalities only all of them, and all but one.
    """
    names, every = trained.task.names, np.arange(len(bank))
    rng = np.random.default_rng([trained.seed, 1])
    drawn = [{name: rng.permutation(len(bank)) for name in names} for _ in range(permutations)]
    kept = [some for some in subsets(names) if len(names) <= MOST_PLAYERS or len(some) >= len(names) - 1]
    found: Values = {}
    for done, some in enumerate(kept):
        trained.tell(done, len(kept))
        draws = drawn if len(some) < len(names) else drawn[:1]
        values = [
            trained.goodness(
                bank.outputs({name: every if name in some else one[name] for name in names}, every), bank.targets
            )
            for one in draws
        ]
        defined = [value for value in values if value is not None]
        if len(defined) == len(values):
            found[some] = defined
    return found


def _drop(whole: list[float], without: list[float] | None) -> dict[str, float] | None:
    """A less the mean over permutations, and the standard deviation over these."""
    return None if without is None else {"mean": whole[0] - fmean(without), "sd": stdev(without)}


def _of_game(game: Mapping[frozenset[str], float], names: tuple[str, ...]) -> dict[str, Any]:
    """What is of all subsets; nothing where they are too many, or a score is undefined on one."""
    if len(game) < 2 ** len(names):
        return {"values": None, "shapley": None, "interaction": None, "utilisation": None}
    return {
        "values": {_joined(some, names): value for some, value in game.items()},
        "shapley": shapley_values(game, names),
        "interaction": {"+".join(pair): value for pair, value in interactions(game, names).items()},
        "utilisation": {
            f"{one} given {other}": _gained(game[frozenset((one, other))], game[frozenset((other,))])
            for one in names
            for other in names
            if one != other
        },
    }


def _gained(both: float, alone: float) -> float | None:
    return (both - alone) / abs(both) if both else None


def _joined(some: frozenset[str], names: tuple[str, ...]) -> str:
    return "+".join(name for name in names if name in some)
