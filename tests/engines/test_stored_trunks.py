"""Encoders with a frozen trunk: it runs once for all seeds, the map behind it trains on that, then all of it goes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_suites import Bench

from fusionbench.bench.artefacts import artefact
from fusionbench.bench.build import training_data
from fusionbench.bench.encoding_sizes import as_size, size_told
from fusionbench.bench.jobs import Place
from fusionbench.bench.trunks import FOLDER, Trunks
from fusionbench.cli.main import main
from fusionbench.data.store import MANIFEST
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec

BITS = Path(__file__).parent.parent / "training" / "bits.py"
ENCODER = '''"""A fixed network of the user's own, and a map behind it."""
import torch
from fusionbench.core.batch import Encoded
from fusionbench.encoders.base import Encoder, Hidden, Trunk
from torch import nn


class Own(Encoder):
    kinds = ("vector",)

    def __init__(self, spec, dropout: float = 0.0, *, width: int = 16):
        super().__init__(spec, width)
        draw = torch.Generator().manual_seed(7)
        self.network = nn.Linear(spec.shape[0], 12).requires_grad_(False)
        self.network.weight.copy_(torch.randn(12, spec.shape[0], generator=draw))
        self.network.bias.copy_(torch.randn(12, generator=draw))
        self.dropout, self.project, self.stage_widths = nn.Dropout(dropout), nn.Linear(12, width), (12,)

    def frozen_trunk(self):
        return Trunk(self.network, {}, reads_data_alone=True)

    def stage(self, number, hidden):
        with open("seen.txt", "a") as file:
            print(self.spec.name, len(hidden.map), file=file)
        steps = self.network(hidden.map).relu()[:, None].expand(-1, 3, -1)
        return Hidden(steps.contiguous(), hidden.present[:, None].expand(steps.shape[:2]), hidden.present)

    def finish(self, hidden):
        tokens = self.project(self.dropout(hidden.map))
        return Encoded(tokens.mean(1), tokens, hidden.mask, hidden.present)
'''


def frozen(bench: Bench, **changes: object) -> str:
    """A suite over encoders of that kind, on a dataset of the user's own."""
    bench.own()
    (bench.folder / bench.package / "bits.py").write_text(BITS.read_text())
    (bench.folder / bench.package / "fixed.py").write_text(ENCODER)
    encoders = {"vector": {"name": f"{bench.package}.fixed", "pretrain": {"epochs": 3, "dropout": 0.3}}}
    given = {"datasets": [f"{bench.package}.bits"], "encoders": encoders, "strategies": ["concat", "late"], **changes}
    return bench.suite(**given)


def folders(bench: Bench, what: str = "*") -> list[Path]:
    """Of this bench's dataset."""
    return sorted(path for path in (bench.data / FOLDER).glob(f"{bench.package}.bits-{what}") if path.is_dir())


def own_data(bench: Bench, name: str) -> Bench:
    """The same with a data folder of its own: encoders that were trained beforehand lie there."""
    (bench.folder / name).mkdir()
    return replace(bench, data=bench.folder / name)


def first_run(suite: str) -> RunSpec:
    return next(iter(load_suite(suite).runs()))


def test_the_trunk_runs_once_for_all_seeds_and_strategies_and_goes_at_the_end(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = own_data(bench, "data")
    assert mine.run(frozen(mine, measures=[])) == 0
    assert "and what frozen networks give take about" in capsys.readouterr().out
    assert folders(mine) == []
    seen = [line.split() for line in (mine.folder / "seen.txt").read_text().splitlines()]
    counts = {name: sum(int(count) for of, count in seen if of == name) for name in "ab"}
    assert set(counts.values()) == {640 + 2 * 64}  # All rows once, and 64 twice to tell how much room they take.


def test_prepare_keeps_it_and_every_seed_reads_it(bench: Bench) -> None:
    mine = own_data(bench, "data")
    suite = frozen(mine)
    assert main(mine.arguments("prepare", suite)) == 0
    trunks = folders(mine, "*-trunk-*")
    assert [re.sub(r".*bits-|-\w{12}$", "", path.name) for path in trunks] == ["a-trunk", "b-trunk"]
    assert len(folders(mine)) == 2 + 4  # Encodings of two modalities and seeds.
    written = {path: (path / MANIFEST).stat().st_mtime_ns for path in trunks}
    assert mine.run(suite, "--keep-encodings") == 0
    assert {path: (path / MANIFEST).stat().st_mtime_ns for path in folders(mine, "*-trunk-*")} == written


def test_scores_are_those_of_a_live_trunk_under_the_same_keys(bench: Bench) -> None:
    found = []
    for name, words in (("stored", ()), ("live", ("--no-stored-encodings",))):
        mine = own_data(bench, f"data_{name}")
        assert mine.run(frozen(mine), *words, results=name) == 0
        found.append(mine.records(name))
    stored, live = found
    assert set(stored) == set(live)
    for key, record in stored.items():
        assert record["scores"]["test/nll"] == pytest.approx(live[key]["scores"]["test/nll"], abs=1e-5)
        assert record["curves"]["train/loss"] == pytest.approx(live[key]["curves"]["train/loss"], abs=1e-5)
        mine, other = (r["options"]["pretrained"]["a"]["scores"] for r in (record, live[key]))
        assert mine == pytest.approx(other, abs=1e-5)


def test_maps_that_are_trained_on_what_is_stored_are_those_of_a_live_trunk(bench: Bench) -> None:
    weights = []
    for name, trunks in (("stored", Trunks()), ("live", None)):
        mine = own_data(bench, name)
        run = first_run(frozen(mine))
        data = training_data(run, mine.data)
        found = artefact(run, "a", data, mine.data, trunks=trunks)
        assert bool(folders(mine, "a-trunk-*")) == bool(trunks)
        weights.append(found.weights)
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=1e-5)
    assert not torch.equal(weights[0]["project.weight"], torch.zeros_like(weights[0]["project.weight"]))


def test_a_damaged_one_is_refused_in_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    mine = own_data(bench, "data")
    assert main(mine.arguments("prepare", frozen(mine, seeds=1))) == 0
    (folder,) = folders(mine, "a-trunk-*")
    (folder / "steps.npy").write_bytes(b"")
    capsys.readouterr()
    assert mine.run(frozen(mine, seeds=2), results="other") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert sum("remove the folder" in line for line in said) == 1
    assert str(folder) in said[-1]


def test_how_much_room_it_takes_is_told_once_for_all_seeds(bench: Bench) -> None:
    mine = own_data(bench, "data")
    suite = load_suite(frozen(mine))
    runs = list(suite.runs())
    data = training_data(runs[0], mine.data)
    place = Place(mine.folder / "results", suite.name, mine.data, 1, {})
    one, three = (size_told(runs, data, place, seeds) for seeds in (1, 3))

    trunk = 3 * 12 * 4 + 3 + 8 + 8  # Of a row: three steps, which are real, its number, where it ends.
    own = 16 * 4 + 3 * 16 * 4 + 3 + 8 + 8 + 12 * 4  # The vector, three steps, and the hidden layer as a vector.
    assert f"take about {as_size(2 * 640 * (trunk + own))} in" in one
    assert f"take about {as_size(2 * 640 * (trunk + 3 * own))} in" in three


def test_a_map_without_pretraining_is_trained_in_every_run_and_nothing_is_stored(bench: Bench) -> None:
    mine = own_data(bench, "data")
    suite = frozen(mine, encoders={"vector": {"name": f"{mine.package}.fixed"}}, strategies=["concat"], seeds=1)
    assert not first_run(suite).is_frozen
    assert mine.run(suite, "--keep-encodings") == 0
    assert folders(mine) == []
    sizes = json.loads(next((mine.folder / "results").rglob("*.size.json")).read_text())
    assert sizes["trained_parameters"] < sizes["fusion_parameters"] + sizes["encoder_parameters"]
