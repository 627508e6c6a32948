"""`fusionbench verify`: published cells are confirmed, an altered one is not, and the record stays as it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fusionbench.cli.main import main
from fusionbench.cli.verify import lines
from fusionbench.core.surroundings import noted
from fusionbench.plan.load import load_suite
from fusionbench.plan.select import only
from fusionbench.records.agreement import Number, Verdict
from fusionbench.records.verified import NAME as MARKS
from fusionbench.records.verified import Mark, marks_of

PUBLISHED = Path(__file__).parent.parent.parent / "results"
CELLS = (
    ("digits", "gated", 0),
    ("digits", "unimodal", 3),
    ("synthetic_pid", "concat", 1),
    ("synthetic_pid", "late", 5),
)
"""Dataset, strategy and seed of quickstart."""


def key_of(dataset: str, strategy: str, seed: int) -> str:
    filters = [f"dataset={dataset}", f"strategy={strategy}", f"seed={seed}"]
    return next(iter(only(load_suite("quickstart").runs(), filters))).key


def path_of(root: Path, key: str) -> Path:
    (path,) = root.glob(f"quickstart/*/*/{key}.json")
    return path


def verified(root: Path, key: str, data: Path) -> subprocess.CompletedProcess[str]:
    """With the variables that its record states, so that on the same processor bytes are asked for."""
    stated: dict[str, str] = json.loads(path_of(PUBLISHED, key).read_text())["environment"]["variables"]
    others = {name: value for name, value in os.environ.items() if name not in noted(os.environ)}
    words = ["verify", f"quickstart/{key}", "--results", str(root), "--data", str(data), "--mark", str(data / MARKS)]
    return subprocess.run(
        [sys.executable, "-m", "fusionbench.cli", *words],
        env={**others, **stated},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_published_cell_is_confirmed_and_left_as_it_is(cell: tuple[str, str, int], tmp_path: Path) -> None:
    before = listed(PUBLISHED / "quickstart")
    done = verified(PUBLISHED, key_of(*cell), tmp_path)
    assert done.returncode == 0, done
    last, marked = done.stdout.splitlines()[-2:]
    assert last.startswith(f"{key_of(*cell)} ({cell[0]}"), done
    assert f", seed {cell[2]}): confirmed" in last
    # Elsewhere roundings differ, and the sentence says what is not the same there.
    assert "byte for byte." in last or " then, " in last
    assert listed(PUBLISHED / "quickstart") == before
    assert marked == f"marked as verified: {tmp_path / MARKS}"
    content = path_of(PUBLISHED, key_of(*cell)).read_bytes()
    assert marks_of(tmp_path / MARKS) == {Mark("quickstart", key_of(*cell), hashlib.sha256(content).hexdigest())}


def test_a_record_with_one_altered_score_is_not_confirmed(tmp_path: Path) -> None:
    key = key_of("synthetic_pid", "gated", 2)
    source = path_of(PUBLISHED, key).parent
    folder = tmp_path / "results" / source.relative_to(PUBLISHED)
    shutil.copytree(source, folder)
    path = folder / f"{key}.json"
    record = json.loads(path.read_text())
    record["scores"]["test/accuracy"] -= 0.02
    path.write_text(json.dumps(record))
    done = verified(tmp_path / "results", key, tmp_path)
    assert done.returncode == 1, done
    assert "NOT confirmed" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  test/accuracy ")]
    assert f"{record['scores']['test/accuracy']:.8g}" in line
    assert "data: the same" in done.stdout
    assert json.loads(path.read_text()) == record
    assert not (tmp_path / MARKS).exists()


def altered(tmp_path: Path, **changes: Any) -> str:
    """A published record with another fact in it, under a results folder of its own; its key."""
    key = key_of("digits", "gated", 0)
    source = path_of(PUBLISHED, key)
    path = tmp_path / "results" / source.relative_to(PUBLISHED)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**json.loads(source.read_text()), **changes}))
    return key


def test_a_record_without_a_score_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = altered(tmp_path, status="skipped", reason="needs\na third hand", scores={})
    assert main(["verify", key, "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert error == f"fusionbench: {key} is skipped (needs a third hand): there is no score to compare\n"


def test_an_unknown_key_and_a_missing_folder_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "abcdef123456", "--results", str(PUBLISHED)]) == 2
    assert main(["verify", "abcdef123456", "--results", str(tmp_path / "no")]) == 2
    key = altered(tmp_path)
    assert main(["verify", key, "--results", str(tmp_path / "results"), "--data", str(tmp_path / "no")]) == 2
    assert main(["verify", key, "--results", str(tmp_path / "results"), "--devices", "1000"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("fusionbench: ") for line in lines)


def test_what_is_printed_says_which_rule_held_or_what_differs() -> None:
    assert list(lines("k", Verdict(bytes_are_equal=True))) == ["k: confirmed, every score and curve byte for byte."]
    (although,) = lines("k", Verdict(("torch: 2 then, 3 now",), bytes_are_equal=True))
    assert (
        although
        == "k: confirmed, every score and curve byte for byte, although not all is the same (torch: 2 then, 3 now)."
    )
    (close,) = lines("k", Verdict(("torch: 2 then, 3 now",)))
    assert close.startswith("k: confirmed: every test score is within the larger of 2 test rows and 3 times the")
    assert close.endswith("The same bytes could not be asked for (torch: 2 then, 3 now).")
    many = tuple(Number(f"curve {n}", 0.5, 0.25 if n else None, 0.0) for n in range(15))
    failed = list(lines("k", Verdict(outside=many, environment=("numpy: 2 then, 3 now",))))
    assert failed[0].startswith("k: NOT confirmed. Processor, torch, threads and variables are the same")
    assert failed[2].split() == ["curve", "0", "0.5", "-", "-", "0"]
    assert failed[3].split() == ["curve", "1", "0.5", "0.25", "0.25", "0"]
    assert failed[-3:] == ["  and 3 more", "data: the same", "environment: numpy: 2 then, 3 now"]
    assert next(lines("k", Verdict(ended="diverged: nan"))) == "k: NOT confirmed. This time it ended diverged: nan."
    assert "another cell" in next(lines("k", Verdict(data=("rows: 1 train then, 2 train now",))))
