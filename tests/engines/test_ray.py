"""The engine `ray`: what one machine finds, also where a node is lost in the middle, and without a common folder."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.cli.main import main
from fusionbench.engines.own_code import made_importable, own_code
from fusionbench.plan.load import load_suite

PATIENCE_S = 1500
"""For what a command does: where others work too, a cluster takes minutes to start."""
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (extra `ray`)")


class Nodes:
    """Two nodes of one core each, in a process of their own."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_nodes.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.address = self._told("address ")

    def _told(self, begin: str) -> str:
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith(begin))
        return line.removeprefix(begin).strip()

    def lose_one(self) -> None:
        """The second goes without a word."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._told("lost")

    def close(self) -> None:
        """Both go."""
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    made = Nodes()
    yield made
    made.close()


@needs_ray
def test_a_cluster_that_loses_a_node_in_the_middle_finds_what_one_machine_finds(bench: Bench, nodes: Nodes) -> None:
    suite = bench.suite(strategies=[*bench.own("slow", "raises"), "concat"], seeds=3, budget={"epochs": 3})
    process = bench.start(suite, "--engine", "ray", "--address", nodes.address)
    bench.wait_for_records(process, 2)
    nodes.lose_one()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output  # One strategy raises.
    assert "6 done, 3 failed" in output
    told = re.findall(r"^\[\d/9\] (.*): (?:done|failed)", output, re.MULTILINE)  # Beside it Ray may say a word.
    assert len(told) == len(set(told)) == 9, output
    assert bench.run(suite, results="here") == 1
    assert bench.scores() == bench.scores("here")
    assert names(bench, "results") == names(bench, "here")


@needs_ray
def test_trials_measures_and_a_latency_session_come_home_from_a_cluster_of_this_machine(bench: Bench) -> None:
    track = {"name": "matched_parameters", "options": {"target": 20_000, "learning_rates": [1e-3, 3e-3], "grow": 0}}
    latency = {"name": "latency", "options": {"seconds": 0.01, "batch_sizes": [1], "threads": [1]}}
    suite = bench.suite(strategies=["concat"], tracks=[track], seeds=1, measures=["size", latency])
    process = bench.start(suite, "--engine", "ray", "--workers", "2")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert bench.run(suite, results="here") == 0
    assert len(bench.records()) == 3
    assert bench.scores() == bench.scores("here")
    (session,) = (bench.folder / "results").rglob("latency/*.json")
    assert str(session.parent.parent.name) in output
    assert names(bench, "results") == names(bench, "here")


@needs_ray
def test_a_run_that_hangs_on_a_node_fails_by_its_limit_and_its_last_words_come_home(bench: Bench) -> None:
    suite = bench.suite(strategies=bench.own("hangs"), seeds=1, budget={"epochs": 1, "time_limit": 15})
    process = bench.start(suite, "--engine", "ray")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    (record,) = bench.records().values()
    assert record["reason"] == "not done within its time limit of 15 s (budget.time_limit)"
    assert record["log"][0] == "here I stay"


@needs_ray
def test_what_no_cluster_can_do_is_one_line(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:  # The port is in use, by something else than Ray.
        port = taken.getsockname()[1]
        process = bench.start(suite, "--engine", "ray", "--address", f"127.0.0.1:{port}")
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert f"--address 127.0.0.1:{port}" in output.strip().splitlines()[-1]
    assert "Traceback" not in output
    process = bench.start(suite, "--engine", "ray", "--cpus", "64")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "no node of the Ray cluster has 64 CPUs" in output.strip().splitlines()[-1]


def test_without_ray_the_extra_to_install_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # As Python answers where it is not installed.
    for name in [name for name in sys.modules if name.startswith("fusionbench.engines.ray")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(bench.arguments("run", bench.suite(), "--engine", "ray")) == 2
    message = capsys.readouterr().err.strip()
    assert "pip install 'multimodal-fusionbench[ray]'" in message
    assert len(message.splitlines()) == 1


def test_plug_ins_of_the_users_own_are_importable_where_their_files_are_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = bench.own("works")
    (bench.folder / bench.package / "works.py").write_text(
        (bench.folder / bench.package / "works.py").read_text() + f"\nfrom {bench.package} import beside\n"
    )
    (bench.folder / bench.package / "beside.py").write_text("HERE = 1\n")
    code = own_code(load_suite(bench.suite(strategies=[name, "concat"])).runs())
    assert sorted(code) == [f"{bench.package}/beside.py", f"{bench.package}/works.py"]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(bench.folder)])
    monkeypatch.chdir("/")
    made_importable(code)
    made_importable(code)
    assert sum("fusionbench-code-" in path for path in sys.path) == 1
    command = f"import sys; sys.path.append({sys.path[-1]!r}); import {bench.package}.beside as b; print(b.HERE)"
    assert subprocess.check_output([sys.executable, "-c", command], text=True) == "1\n"


def names(bench: Bench, results: str) -> set[str]:
    """Of all files of runs: records, measures, predictions and logs."""
    paths = (bench.folder / results).rglob("*/*/*")
    return {path.name for path in paths if path.is_file() and path.parent.name != "latency"}
