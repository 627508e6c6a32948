"""What is shipped: one version everywhere, and a wheel with suites, bibliography, types and licence in it."""

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    return ZipFile(next(folder.glob("multimodal_fusionbench-*.whl")))


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"] == version("multimodal-fusionbench")


def test_licence_and_title_are_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert citation["title"] == "fusionbench"


def test_the_command_is_fusionbench() -> None:
    (command,) = entry_points(group="console_scripts", name="fusionbench")
    assert callable(command.load())


def test_the_wheel_carries_every_suite_the_bibliography_types_and_licence(wheel: ZipFile) -> None:
    names = set(wheel.namelist())
    suites = {f"fusionbench/experiments/{path.name}" for path in (ROOT / "experiments").glob("*.yaml")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "fusionbench").rglob("*.py")}
    assert len(suites) >= 2
    assert suites | modules | {"fusionbench/py.typed", "fusionbench/report/references.bib"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_else(wheel: ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {
        "fusionbench",
        f"multimodal_fusionbench-{PROJECT['version']}.dist-info",
    }
    assert not [name for name in wheel.namelist() if "__pycache__" in name]
