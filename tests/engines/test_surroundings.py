"""Where and beside what a suite is started changes nothing: other programs' variables, files, temporary folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.core.errors import UserError
from fusionbench.core.ranks import ALONE
from fusionbench.engines import forkserver
from fusionbench.engines.forkserver import ensure_server
from fusionbench.plan.budget import Budget
from fusionbench.records.environment import environment
from fusionbench.training.fit import trainer_for

OTHERS = {
    "SLURM": {"SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"},
    "LSF": {
        "LSB_JOBID": "7",
        "LSB_DJOB_RANKFILE": "/no/file",
        "JSM_NAMESPACE_LOCAL_RANK": "1",
        "JSM_NAMESPACE_SIZE": "2",
    },
    "PBS": {"PBS_JOBID": "7", "PBS_NODEFILE": "/no/file", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    "group": {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "nowhere", "MASTER_PORT": "1"},
    "kubernetes": {"KUBERNETES_PORT": "tcp://10.0.0.1:443", "NODE_RANK": "1", "GROUP_RANK": "1"},
    "lightning": {"PL_TRAINER_LIMIT_TRAIN_BATCHES": "1", "PL_TRAINER_GRADIENT_CLIP_VAL": "1e-9", "PL_GLOBAL_SEED": "7"},
    "torch": {"TORCH_LOGS": "no such log", "TORCHDYNAMO_DISABLE": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
    "plots": {"MPLBACKEND": "no_such_backend", "MATPLOTLIBRC": "/no/such/file"},
    "trackers": {"WANDB_MODE": "disabled", "WANDB_SWEEP_ID": "s", "MLFLOW_RUN_ID": "r", "COMET_EXPERIMENT_KEY": "k"},
}


def start(bench: Bench, suite: str, results: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = bench.arguments("run", suite, "--workers", "1", results=results)
    return subprocess.run(
        [sys.executable, *options, "-m", "fusionbench.cli", *words],
        capture_output=True,
        text=True,
        cwd=bench.folder,
        env={**os.environ, **variables},
        check=False,
    )


def test_other_programs_variables_change_no_key_score_or_outcome(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1)
    assert bench.run(suite, results="plain") == 0
    everything = {variable: value for variables in OTHERS.values() for variable, value in variables.items()}
    for results, variables in (("slurm", OTHERS["SLURM"]), ("all", everything)):
        done = start(bench, suite, results, **variables)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert bench.scores(results) == bench.scores("plain")


def test_a_seed_for_lightning_is_not_one_of_ours_on_several_devices(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, two = bench.suite(strategies=["concat"], seeds=1), ("--workers", "1", "--devices", "2")
    assert bench.run(suite, *two, results="plain") == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    with bench.start(suite, *two, results="seeded") as seeded:
        seeded.communicate()
    assert seeded.returncode == 0
    assert bench.scores("seeded") == bench.scores("plain")


@pytest.mark.parametrize("name", OTHERS)
def test_the_trainer_for_itself_listens_to_none_of_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trainer_for(Budget(), [], ALONE)
    for variable, value in OTHERS[name].items():
        monkeypatch.setenv(variable, value)
    trainer = trainer_for(Budget(), [], ALONE)
    assert (trainer.world_size, trainer.global_rank, trainer.num_nodes) == (1, 0, 1)
    assert (trainer.limit_train_batches, trainer.gradient_clip_val) == (plain.limit_train_batches, None)


def test_a_record_notes_what_picks_kernels_threads_or_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    found = environment()["variables"]
    assert found["MKL_CBWR"] == "COMPATIBLE"
    assert found["ATEN_CPU_CAPABILITY"] == "default"
    assert "SLURM_NTASKS" not in found


def test_the_kernels_variables_reach_the_workers_and_their_records(bench: Bench) -> None:
    done = start(bench, bench.suite(strategies=["concat"], seeds=1), "results", ATEN_CPU_CAPABILITY="default")
    assert done.returncode == 0, done
    (record,) = bench.records().values()
    assert record["environment"]["variables"]["ATEN_CPU_CAPABILITY"] == "default"


HIDING = ("queue", "selectors", "socket", "random", "numbers", "torch", "numpy", "lightning", "yaml", "rich")
# As the installed command is started, and as a module. For the second Python itself looks for `types` in the
# working folder, before a line of fusionbench runs, unless something in site-packages has imported it by then.
STARTS = {"command": (("-P",), (*HIDING, "types")), "module": ((), HIDING)}


@pytest.mark.parametrize("way", STARTS)
def test_files_in_the_working_folder_hide_none_of_pythons_own(bench: Bench, way: str) -> None:
    options, names = STARTS[way]
    for name in names:
        (bench.folder / f"{name}.py").write_text("raise RuntimeError('not meant for others')\n")
    (bench.folder / "statistics").mkdir()
    (bench.folder / "statistics" / "__init__.py").write_text("raise RuntimeError('not meant for others')\n")
    suite = bench.suite(strategies=["concat", *bench.own("works")], seeds=1)
    done = start(bench, suite, "results", *options)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert len(bench.records()) == 2


@pytest.mark.parametrize("length", [76, 200])
def test_a_long_temporary_folder_is_no_obstacle(bench: Bench, tmp_path: Path, length: int) -> None:
    folder = tmp_path / "t"
    while len(str(folder)) < length - 1:
        folder /= "x" * min(100, length - 1 - len(str(folder)))
    folder.mkdir(parents=True)
    done = start(bench, bench.suite(strategies=["concat"], seeds=1), "results", TMPDIR=str(folder))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert list(folder.glob("pymp-*")) == []


def test_without_a_short_folder_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "SHORT", ("/no/such/folder",))
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * 90)
    monkeypatch.setattr(forkserver, "_server_of", lambda _: forkserver._Server())  # Another test may have started one.
    with pytest.raises(UserError, match=r"^TMPDIR /x+: too long a path for a socket; set it to one of at most 70"):
        ensure_server()


def test_starting_the_server_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = dict(os.environ)
    ensure_server()
    assert dict(os.environ) == before


OWN_PROGRAM = '''"""Starts a program of its own, which has its folder on its path."""
import subprocess, sys
from pathlib import Path
HERE = Path(__file__).parent
subprocess.run([sys.executable, str(HERE / "tool.py")], check=True)
'''


def test_a_program_that_a_plugin_starts_finds_its_own_modules(bench: Bench) -> None:
    (name,) = bench.own("works")
    folder = bench.folder / bench.package
    (folder / "works.py").write_text(OWN_PROGRAM + (folder / "works.py").read_text())
    (folder / "tool.py").write_text("import beside_tool\n")
    (folder / "beside_tool.py").write_text("")
    done = start(bench, bench.suite(strategies=[name], seeds=1), "results")
    assert done.returncode == 0, done
