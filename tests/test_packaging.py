"""What is shipped: one version everywhere, and a wheel with suites, bibliography, types and licence in it."""

import os
import re
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


PIP = (sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")


def wheel_of(source: Path, folder: Path) -> ZipFile:
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return ZipFile(next(folder.glob("multimodal_fusionbench-*.whl")))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    return wheel_of(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: ZipFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The surroundings of a program that finds the wheel before all else, what it needs where it is."""
    folder = tmp_path_factory.mktemp("installed")
    command = [*PIP, "install", "--no-deps", "--no-warn-conflicts", "--target", str(folder), str(wheel.filename)]
    subprocess.run(command, check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


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
    page = {f"fusionbench/report/page/page.{ending}" for ending in ("css", "js")}
    assert suites | modules | page | {"fusionbench/py.typed", "fusionbench/report/references.bib"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_else(wheel: ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {
        "fusionbench",
        f"multimodal_fusionbench-{PROJECT['version']}.dist-info",
    }
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_sdist_gives_the_same_wheel(wheel: ZipFile, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (archive,) = tmp_path.glob("multimodal_fusionbench-*.tar.gz")
    again = wheel_of(archive, tmp_path)
    assert {name: again.read(name) for name in again.namelist() if not name.endswith("RECORD")} == {
        name: wheel.read(name) for name in wheel.namelist() if not name.endswith("RECORD")
    }


def test_the_wheel_runs_a_shipped_suite_in_an_empty_folder(installed: dict[str, str], tmp_path: Path) -> None:
    less = ["--set", "seeds=1", "--set", "budget.epochs=1", "--set", "measures=[size]", "--workers", "1"]
    rows = ["--only", "dataset=digits", "--only", "strategy=concat"]
    command = [sys.executable, "-m", "fusionbench.cli", "run", "quickstart", "--data", ".", *less, *rows]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quickstart: 1 done" in done.stdout
    assert (tmp_path / "results" / "quickstart" / "digits" / "table.md").is_file()
    where = [sys.executable, "-c", "import fusionbench; print(fusionbench.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path, env=installed).stdout
    assert found.startswith(installed["PYTHONPATH"])


def test_the_changelog_has_the_version_with_its_day_and_the_citation_has_the_same() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    days = dict(re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", changes, re.MULTILINE))
    assert days[PROJECT["version"]] == str(citation["date-released"])
    assert changes.index("## [Unreleased]") < changes.index(f"## [{PROJECT['version']}]")
    assert not (ROOT / ".zenodo.json").exists(), "it would win over CITATION.cff"


def test_the_addresses_are_of_one_repository() -> None:
    urls, citation = PROJECT["urls"], yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert all(url.startswith(urls["Repository"]) for url in urls.values())
    assert citation["repository-code"] == urls["Repository"]
