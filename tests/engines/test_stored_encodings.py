"""Frozen encoders run once: what they give is stored for the runs of a seed, whole or not at all, and then goes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import pytest
from small_suites import Bench, kill_tree

from fusionbench.bench.build import training_data
from fusionbench.bench.encoding_sizes import as_size, size_told
from fusionbench.bench.jobs import Place
from fusionbench.bench.trunks import FOLDER
from fusionbench.cli.main import main
from fusionbench.core.errors import UserError
from fusionbench.data.store import MANIFEST
from fusionbench.plan.load import load_suite

BITS = Path(__file__).parent.parent / "training" / "bits.py"
OWN_ENCODER = '''"""The user's own."""
from fusionbench.encoders.base import Encoder
from fusionbench.core.batch import Encoded
from torch import nn


class Own(Encoder):
    kinds = ("vector",)

    def __init__(self, spec, dropout: float = 0.0, *, width: int = 16):
        super().__init__(spec, width)
        self.map = nn.Linear(spec.shape[0], width)

    def forward(self, x, mask, present):
        import time
        time.sleep({pause})
        y = self.map(x)
        return Encoded(y, y[:, None], present[:, None], present)
'''


def frozen(bench: Bench, pause: float = 0.0, **changes: object) -> str:
    """A suite whose encoders are trained beforehand, on a dataset of the user's own."""
    bench.own()
    (bench.folder / bench.package / "bits.py").write_text(BITS.read_text())
    (bench.folder / bench.package / "slow.py").write_text(OWN_ENCODER.format(pause=pause))
    first = {"epochs": 2, "learning_rate": 1e-2}
    encoders = {"vector": {"name": f"{bench.package}.slow", "pretrain": first}}
    given = {"datasets": [f"{bench.package}.bits"], "encoders": encoders, "strategies": ["concat", "late"], **changes}
    return bench.suite(**given)


def folders(bench: Bench) -> list[Path]:
    """Of this bench's dataset, those that hold anything."""
    return sorted(path for path in (bench.data / FOLDER).glob(f"{bench.package}.*") if path.is_dir())


def test_each_seed_is_encoded_once_for_all_strategies_and_forgotten(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(frozen(bench)) == 0
    said = capsys.readouterr().out
    encoded = re.findall(r"encoding \S+ / (\w), seed (\d): 640 rows, (\S+ KiB), in", said)
    assert sorted(encoded) == [(m, s, encoded[0][2]) for m in "ab" for s in "01"]
    assert "encodings of a, b (1 seed at a time) take about" in said
    assert folders(bench) == []


def test_they_are_kept_where_that_is_asked_for_and_found_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = frozen(bench)
    assert bench.run(suite, "--keep-encodings") == 0
    assert len(folders(bench)) == 4
    times = {path: (path / MANIFEST).stat().st_mtime_ns for path in folders(bench)}
    assert bench.run(frozen(bench, strategies=["sum"]), "--keep-encodings", results="other") == 0
    assert capsys.readouterr().out.count("there already") == 8  # Four weights, four encodings.
    assert {path: (path / MANIFEST).stat().st_mtime_ns for path in folders(bench)} == times


def test_prepare_makes_those_of_all_seeds(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(bench.arguments("prepare", frozen(bench))) == 0
    assert "(2 seeds at a time)" in capsys.readouterr().out
    assert len(folders(bench)) == 4


def test_scores_are_those_of_live_encoders_under_the_same_keys(bench: Bench) -> None:
    suite = frozen(bench)
    assert bench.run(suite, results="stored") == 0
    assert bench.run(suite, "--no-stored-encodings", results="live") == 0
    stored, live = bench.records("stored"), bench.records("live")
    assert set(stored) == set(live)
    for key, record in stored.items():
        assert record["scores"]["test/nll"] == pytest.approx(live[key]["scores"]["test/nll"], abs=1e-5)
        assert record["curves"]["train/loss"] == pytest.approx(live[key]["curves"]["train/loss"], abs=1e-5)


def test_measures_are_of_live_encoders(bench: Bench) -> None:
    suite = frozen(bench, strategies=["concat"], seeds=1)
    assert bench.run(suite, results="stored") == 0
    assert bench.run(suite, "--no-stored-encodings", results="live") == 0
    sizes = [json.loads(next((bench.folder / r).rglob("*.size.json")).read_text()) for r in ("stored", "live")]
    assert sizes[0] == sizes[1]
    assert sizes[0]["encoder_parameters"] > 0


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "manifest"])
def test_a_damaged_one_is_refused_in_one_line(bench: Bench, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    suite = frozen(bench, seeds=1)
    assert bench.run(suite, "--keep-encodings") == 0
    folder = folders(bench)[0]
    path = folder / ("pooled.npy" if damage != "manifest" else MANIFEST)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 200])
    capsys.readouterr()
    assert bench.run(frozen(bench, strategies=["sum"], seeds=1), results="other") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert sum("remove the folder" in line for line in said) == 1
    assert str(folder) in said[-1]


def test_a_kill_while_they_are_written_leaves_nothing_half_done(bench: Bench) -> None:
    suite = frozen(bench, pause=0.2, seeds=1)
    process = bench.start(suite)
    place = bench.data / FOLDER
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(place.glob(f".{bench.package}.*/pooled.npy")):
        time.sleep(0.01)
    kill_tree(process)
    assert list(place.glob(f".{bench.package}.*"))
    assert folders(bench) == []
    assert bench.run(suite, "--keep-encodings") == 0
    assert len(folders(bench)) == 2
    assert not list(place.glob(f".{bench.package}.*"))


def test_two_runners_at_once_encode_once(bench: Bench) -> None:
    suite = frozen(bench, pause=0.05, seeds=1)
    several = [bench.start(suite, "--keep-encodings", results=results) for results in ("one", "other")]
    said = [process.communicate(timeout=200)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0], said
    assert sum(text.count("640 rows") for text in said) == 2, said
    assert len(folders(bench)) == 2


def test_a_runner_whose_encodings_another_removes_makes_them_again(bench: Bench) -> None:
    suite = frozen(bench, pause=0.05, seeds=1, strategies=["concat", "late", "sum", "product"])
    several = [bench.start(suite, results=results) for results in ("one", "other")]
    said = [process.communicate(timeout=200)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0], said
    assert bench.scores("one") == bench.scores("other")


def test_a_disk_that_fills_while_they_are_written_is_one_line(bench: Bench) -> None:
    suite = frozen(bench, seeds=1)
    assert main(bench.arguments("prepare", suite)) == 0
    for folder in folders(bench):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    program = (
        "import resource, sys; from fusionbench.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); sys.exit(main(sys.argv[1:]))"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", program, *bench.arguments("run", suite)],
        capture_output=True,
        text=True,
        cwd=bench.folder,
        check=False,
    )
    assert done.returncode == 2, done
    assert "while converting" in done.stderr.splitlines()[-1], done
    assert folders(bench) == []


def test_a_disk_too_small_is_told_before_anything_is_computed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load_suite(frozen(bench))
    runs = list(suite.runs())
    data = training_data(runs[0], bench.data)
    place = Place(bench.folder / "results", suite.name, bench.data, 1, {})
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    with pytest.raises(UserError, match=r"take about \S+ KiB, and 1000 B are free;\nmake room") as error:
        size_told(runs, data, place, 2)
    assert "--no-stored-encodings" in str(error.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30))
    # Width 16: pooled, one token, its mask, its row, where it ends; of every one of 640 rows, twice, two seeds.
    each = 16 * 4 * 2 + 1 + 8 + 8
    assert f"take about {as_size(2 * 2 * 640 * each)} in" in size_told(runs, data, place, 2)


def test_sizes_are_told_as_people_read_them() -> None:
    assert [as_size(n) for n in (12, 2048, 3 * 2**20, 5 * 2**30)] == ["12 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
