"""The source of an own plug-in is its file and every own module that it imports, however it is written."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.core.sources import file_of, own_modules, own_source, source_of

NUMBERS = itertools.count()
STRATEGY = "from fusionbench.fusion.base import FusionModule\nclass Mine(FusionModule):\n    pass\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of own modules, named anew in every test."""
    folder = tmp_path / f"own_sources{next(NUMBERS)}"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    describe.cache_clear()
    yield folder
    describe.cache_clear()


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def followed(package: Path) -> set[str]:
    """What belongs to `<package>.mine`, without the package's name."""
    found = own_modules(f"{package.name}.mine", package / "mine.py")
    return {name.removeprefix(f"{package.name}.") for name in found}


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("from {p}.helper import f", {"helper.py"}),
        ("from {p} import helper", {"helper.py"}),
        ("import {p}.helper as h", {"helper.py"}),
        ("from .helper import f", {"helper.py"}),
        ("from . import helper, other", {"helper.py", "other.py"}),
        ("def late():\n    from .helper import f", {"helper.py"}),
        ("class A:\n    if True:\n        import {p}.helper", {"helper.py"}),
        ("try:\n    from .helper import f\nexcept ImportError:\n    f = None", {"helper.py"}),
        ("from .deep.er import f", {"deep/__init__.py", "deep/er.py"}),
        ("from .deep import er", {"deep/__init__.py", "deep/er.py"}),
        ("from .deep import *", {"deep/__init__.py", "deep/er.py"}),
        ("from .chain import f", {"chain.py", "helper.py", "other.py"}),
        ("from .ring import f", {"ring.py"}),
        ("import beside", {"../beside.py"}),
        ("from bare.inner import f", {"../bare/inner.py"}),
    ],
)
def test_every_way_to_import_an_own_module_is_seen(package: Path, line: str, files: set[str]) -> None:
    write(
        package,
        {
            "mine.py": line.format(p=package.name) + "\n" + STRATEGY,
            "helper.py": "f = 1\n",
            "other.py": "g = 1\n",
            "deep/__init__.py": "__all__ = ['er']\n",
            "deep/er.py": "f = 1\n",
            "chain.py": "from .helper import f\ndef g():\n    from . import other\n",
            "ring.py": "from . import mine\nf = 1\n",
            "../beside.py": "f = 1\n",
            "../bare/inner.py": "f = 1\n",
        },
    )
    name = f"{package.name}.mine"
    found = {file.resolve() for file in own_modules(name, package / "mine.py").values()}
    assert found == {(package / file).resolve() for file in {"mine.py", *files}}
    before = source_of(name, package / "mine.py")
    for file in files:
        text = (package / file).read_text()
        (package / file).write_text(text + "# changed\n")
        assert source_of(name, package / "mine.py") != before
        (package / file).write_text(text)
    (package / "unused.py").write_text("f = 1\n")
    assert source_of(name, package / "mine.py") == before


def test_one_file_alone_has_the_hash_of_its_bytes(package: Path) -> None:
    write(package, {"mine.py": STRATEGY, "__init__.py": ""})
    assert source_of(f"{package.name}.mine", package / "mine.py") == hashlib.sha256(STRATEGY.encode()).hexdigest()


def test_the_packages_own_code_counts_since_importing_runs_it(package: Path) -> None:
    write(package, {"__init__.py": "from .helper import f\n", "helper.py": "f = 1\n", "mine.py": STRATEGY})
    assert followed(package) == {package.name, "helper", "mine"}


def test_the_standard_library_installed_modules_and_fusionbench_are_not_followed(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"  # As `pip install --target` leaves it.
    write(target, {"lib_of_others/__init__.py": "f = 1\n", "lib_of_others-1.0.dist-info/METADATA": ""})
    monkeypatch.syspath_prepend(str(target))
    lines = (
        "import json, os.path, numpy as np, google.protobuf, torch\nfrom pydantic import BaseModel\nimport nowhere\n"
    )
    write(package, {"mine.py": lines + "import lib_of_others\nfrom fusionbench.core import task\n" + STRATEGY})
    assert followed(package) == {"mine"}


@pytest.mark.parametrize("text", ["def broken(:\n", "x = '\xff'\0"])
def test_an_own_module_that_python_cannot_read_counts_by_its_bytes(package: Path, text: str) -> None:
    write(package, {"mine.py": "from .helper import f\n" + STRATEGY, "helper.py": text})
    assert followed(package) == {"helper", "mine"}


@pytest.mark.parametrize("line", ["from ...... import x", "from .. import x", "from .missing import x", "import mine."])
def test_an_import_that_leads_nowhere_is_no_error(package: Path, line: str) -> None:
    write(package, {"mine.py": f"{line}\n" + STRATEGY})
    assert followed(package) == {"mine"}


def test_the_same_files_have_one_hash_wherever_they_lie(package: Path, tmp_path: Path) -> None:
    write(package, {"mine.py": "from .helper import f\n" + STRATEGY, "helper.py": "f = 1\n"})
    name = f"{package.name}.mine"
    here = source_of(name, package / "mine.py")
    moved = tmp_path / "elsewhere" / package.name
    shutil.move(package, moved)
    sys.path[0] = str(moved.parent)
    sys.path_importer_cache.clear()
    assert source_of(name, moved / "mine.py") == here


def test_describe_states_it_for_own_plugins_alone(package: Path) -> None:
    write(package, {"mine.py": "from .helper import f\n" + STRATEGY, "helper.py": "f = 1\n"})
    name = f"{package.name}.mine"
    assert describe("strategy", name).source == source_of(name, package / "mine.py")
    path = file_of("fusionbench.fusion.concat")
    assert path is not None
    assert describe("strategy", "concat").source == hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_shipped_class_has_a_source_of_its_own() -> None:
    assert "digits" in names("dataset")
    assert own_source("fusionbench.data.digits") == own_source("__main__") == own_source("no_such_module") == ""


def test_a_folder_that_an_installed_package_hides_is_told_so(package: Path, tmp_path: Path) -> None:
    write(tmp_path, {"filelock/mine.py": STRATEGY})
    sys.path.remove(str(tmp_path))
    with pytest.raises(UserError, match=r"Python finds another 'filelock' first, .*give your folder filelock/ another"):
        describe("strategy", "filelock.mine")
