"""A suite runs wherever Python runs: a plain script, `-c`, standard input, a thread, beside other multiprocessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = {
    "name": "tiny",
    "datasets": ["digits"],
    "strategies": ["concat"],
    "seeds": 1,
    "budget": {"epochs": 1},
    "measures": [],
}
PLAIN = f"""
print("once")
import fusionbench
result = fusionbench.run({SUITE!r}, results="results", data="data", workers=1)
print(dict(result.counts))
"""
IN_A_THREAD = f"""
print("once")
import threading
import fusionbench
found = []
thread = threading.Thread(target=lambda: found.append(fusionbench.run({SUITE!r}, data="data", workers=1)))
thread.start()
thread.join()
print(dict(found[0].counts))
"""
BESIDE_OTHERS = f"""
import multiprocessing, sys
main = sys.modules["__main__"]
{PLAIN}
assert sys.modules["__main__"] is main
multiprocessing.set_start_method("spawn")  # Still the program's to choose.
"""
WAYS = {
    "script": PLAIN,
    "command": PLAIN,
    "standard input": PLAIN,
    "thread": IN_A_THREAD,
    "beside others": BESIDE_OTHERS,
}


def started(way: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words, given = [sys.executable, "program.py"], None
    (folder / "program.py").write_text(WAYS[way])
    if way == "command":
        words = [sys.executable, "-c", WAYS[way]]
    if way == "standard input":
        words, given = [sys.executable], WAYS[way]
    return subprocess.run(words, input=given, capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize("way", WAYS)
def test_a_suite_runs_and_the_program_around_it_only_once(way: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = started(way, tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["once", "{'done': 1}"]), done
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "preparing digits",
        "[1/1] digits / concat, seed 0",
    ]
    assert list(tmp_path.rglob("*.lock")) == [tmp_path / "data" / "prepared" / lock for lock in locks(tmp_path)]


def locks(folder: Path) -> list[str]:
    """Of prepared data, whose empty lock files stay; a claim on a run does not."""
    return [path.name for path in (folder / "data" / "prepared").glob("*.lock")]
