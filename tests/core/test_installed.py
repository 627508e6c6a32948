"""Plug-ins that installed packages register: listed without importing them; a broken one is a line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionbench.cli.main import main
from fusionbench.core.catalogue import forget
from fusionbench.core.installed import installed

STRATEGY = '''"""Weighted: a strategy that was installed.

    y = 0
"""
raise RuntimeError("imported")

from fusionbench.fusion.base import FusionModule


class Weighted(FusionModule):
    paper, interaction, fidelity = "me2026weighted", "limited", "inspired"

    def __init__(self, setting, *, spread: float = 0.5) -> None:
        super().__init__(setting)
'''
ENCODER = '''"""Waves: an encoder that was installed."""


class Waves(Encoder):
    kinds = ("vector",)
'''
NETWORK = "def net(widths, classes, hidden=3): ...\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like site-packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    forget()


def distribution(site: Path, name: str, points: str | bytes, **files: str) -> None:
    """A package with its files, as an installer leaves it."""
    info = site / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    text = points if isinstance(points, bytes) else f"[fusionbench.plugins]\n{points}".encode()
    (info / "entry_points.txt").write_bytes(text)
    (site / name).mkdir(exist_ok=True)
    for stem, content in {"__init__": "", **files}.items():
        (site / name / f"{stem}.py").write_text(content)


def test_modules_names_and_packages_are_listed_without_running_them(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = "weighted = installed_here.weighted\nnet = installed_here.nets:net\n"
    distribution(site, "installed_here", points, weighted=STRATEGY, nets=NETWORK)
    distribution(site, "all_of_it", "everything = all_of_it\n", waves=ENCODER, weighted=STRATEGY, notes="x = 1\n")
    found = installed()
    assert found.broken == []
    assert found.names["strategy"] == ["all_of_it.weighted", "installed_here.nets:net", "installed_here.weighted"]
    assert found.names["encoder"] == ["all_of_it.waves"]
    assert main(["list", "strategies"]) == 0
    shown = capsys.readouterr()
    (line,) = [line for line in shown.out.splitlines() if line.startswith("| installed_here.weighted ")]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == [
        "feature",
        "limited",
        "inspired",
        "me2026weighted",
        "a strategy that was installed",
        "spread=0.5",
    ]
    assert "| gated " in shown.out
    assert shown.err == ""
    assert main(["list", "strategies", "--long"]) == 0
    assert "### installed_here.weighted" in capsys.readouterr().out
    assert "installed_here" not in sys.modules


def test_a_broken_one_is_a_line_and_hides_no_other(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = """good = many.good
gone = many.gone
nothing = many.nothing
unread = many.unread
odd = many.odd
name = no such name
"""
    option = STRATEGY.replace("spread: float = 0.5", "spread: Spread = 0.5")
    distribution(site, "many", points, good=STRATEGY, nothing="x = 1\n", unread="class (\n", odd=option)
    distribution(site, "no_text", b"\xff\xfe[fusionbench")
    assert main(["list"]) == 0
    shown = capsys.readouterr()
    assert "| many.good " in shown.out
    lines = shown.err.splitlines()
    said = {
        "many 1.2, gone = many.gone": "no module 'many.gone'; the package that is installed does not hold it",
        "many 1.2, nothing = many.nothing": "nothing.py: it holds no plug-in, a class derived from FusionModule",
        "many 1.2, unread = many.unread": "unread.py, line 1: ",
        "many 1.2, odd = many.odd": "option 'spread' needs an annotation made of",
        "many 1.2, name = no such name": "no module",
        "no_text 1.2": "its entry points cannot be read",
    }
    for of, reason in said.items():
        (line,) = [line for line in lines if line.startswith(f"not listed: {of}")]
        assert reason in line
    assert len(lines) == len(said)


def test_all_strategies_of_a_suite_are_those_of_fusionbench_whatever_is_installed(site: Path) -> None:
    from fusionbench.plan.load import suite_of
    from fusionbench.plan.source import parse_source

    distribution(site, "installed_too", "weighted = installed_too.weighted\n", weighted=STRATEGY)
    suite = suite_of(parse_source("name: x\ndatasets: [digits]\nstrategies: all\n", "x.yaml"))
    assert not any("." in row.strategy.name for row in suite.rows)
    named = suite_of(parse_source("name: x\ndatasets: [digits]\nstrategies: [installed_too.weighted]\n", "x.yaml"))
    assert named.rows[0].strategy.source


def test_a_fresh_python_lists_it_without_torch(site: Path) -> None:
    distribution(site, "installed_now", "weighted = installed_now.weighted\n", weighted=STRATEGY)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from fusionbench.cli.main import main\nmain(['list', 'strategies'])\n"
        "print([name for name in ('torch', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "installed_now.weighted" in done.stdout
    assert done.stdout.endswith("[]\n")
