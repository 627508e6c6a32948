"""Engines and their settings: from the command line, a configuration file, or by default; each mistake is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fusionbench.cli.arguments import parser
from fusionbench.cli.engines import engine_of
from fusionbench.core.errors import UserError
from fusionbench.plan.configuration import chosen_engine
from fusionbench.plan.engines import Local, Ray, Slurm


def written(folder: Path, text: str) -> dict[str, str]:
    """The environment in which a configuration file says this."""
    (folder / "mine.yaml").write_text(text)
    return {"FUSIONBENCH_CONFIG": str(folder / "mine.yaml")}


def test_without_a_file_and_without_a_word_runs_happen_here(tmp_path: Path) -> None:
    assert chosen_engine(None, {}, {"HOME": str(tmp_path)}) == Local()


def test_what_is_given_goes_before_the_file(tmp_path: Path) -> None:
    text = 'engine: slurm\nslurm: {jobs: 4, time: "1-12", gpus: 2, sbatch: {account: lab}}\nray: {address: auto}\n'
    environment = written(tmp_path, text)
    by_file = chosen_engine(None, {}, environment)
    assert by_file == Slurm(jobs=4, time="1-12", gpus=2, sbatch={"account": "lab"})
    assert chosen_engine(None, {"jobs": 2}, environment) == Slurm(
        jobs=2, time="1-12", gpus=2, sbatch={"account": "lab"}
    )
    assert chosen_engine("ray", {"gpus": 0.25}, environment) == Ray(address="auto", gpus=0.25)
    assert chosen_engine("local", {}, environment) == Local()


def test_the_file_lies_where_configuration_files_lie(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "fusionbench.yaml").write_text("engine: ray")
    assert chosen_engine(None, {}, {"HOME": str(tmp_path)}) == Ray()
    assert chosen_engine(None, {}, {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path / ".config")}) == Ray()


@pytest.mark.parametrize(
    ("text", "engine", "given", "message"),
    [
        ("engine: slrm", None, {}, "line 1: engine: no engine 'slrm'; did you mean 'slurm'"),
        ("engines: ray", None, {}, "line 1: engines: no key 'engines'; did you mean 'engine'"),
        ("\nslurm: {jbs: 2}", "slurm", {}, "line 2: slurm.jbs: no setting 'jbs'; did you mean 'jobs'"),
        ("slurm: {time: 4:00:00}", "slurm", {}, "line 1: slurm.time: give a limit such as '4:00:00'"),
        ("slurm: {jobs: 0}", "slurm", {}, "line 1: slurm.jobs: should be greater than or equal to 1, got 0"),
        ("ray: 3", "ray", {}, "line 1: ray: give a mapping such as {cpus: 2}, got 3"),
        ("- ray", None, {}, "line 1: a configuration is a mapping such as engine: ray"),
        ("ray: [", None, {}, "line 1: "),
        ("", "ray", {"partition": "gpu"}, "--partition: no setting of engine 'ray'; it is of slurm"),
        ("", None, {"address": "auto"}, "--address: no setting of engine 'local'; it is of ray"),
        ("", "slurm", {"memory": "16 GB"}, "--memory: give a size such as 16G, got '16 GB'"),
        ("", "slurm", {"gpus": 0.5}, "--gpus: "),
    ],
)
def test_a_mistake_says_where_it_stands(
    tmp_path: Path, text: str, engine: str | None, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        chosen_engine(engine, given, written(tmp_path, text))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"FUSIONBENCH_CONFIG: .*none: no such file"):
        chosen_engine(None, {}, {"FUSIONBENCH_CONFIG": str(tmp_path / "none")})
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        chosen_engine(None, {}, {"FUSIONBENCH_CONFIG": str(tmp_path / "mine.yaml")})


def test_the_command_line_says_it_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONBENCH_CONFIG", written(tmp_path, "engine: ray")["FUSIONBENCH_CONFIG"])
    words = ["--engine", "slurm", "--jobs", "3", "--gpus", "2", "--sbatch", "account=lab", "--sbatch", "qos=long"]
    parsed = parser().parse_args(["run", "smoke", *words])
    assert engine_of(parsed) == Slurm(jobs=3, gpus=2, sbatch={"account": "lab", "qos": "long"})
    assert engine_of(parser().parse_args(["run", "smoke", "--cpus", "0.5"])) == Ray(cpus=0.5)
    assert engine_of(parser().parse_args(["plan", "smoke"])) == Local()  # The file is for what trains.
    with pytest.raises(UserError, match="--sbatch account: give it as NAME=VALUE"):
        engine_of(parser().parse_args(["run", "smoke", "--engine", "slurm", "--sbatch", "account"]))


def test_under_torchrun_the_file_names_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONBENCH_CONFIG", written(tmp_path, "engine: ray")["FUSIONBENCH_CONFIG"])
    places = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    for name, value in {"TORCHELASTIC_RUN_ID": "a", **places}.items():
        monkeypatch.setenv(name, value)
    assert engine_of(parser().parse_args(["run", "smoke"])) == Local()
    with pytest.raises(UserError, match="torchrun has started this process"):
        engine_of(parser().parse_args(["run", "smoke", "--engine", "ray"]))
