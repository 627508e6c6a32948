"""The house rules that a reader relies on: short files and functions, empty packages, tests that mirror the code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted((ROOT / "fusionbench").rglob("*.py"))
PYTHON = [path for folder in ("fusionbench", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without the docstring: what it says to users does not make it harder to read."""
    first = function.body[0]
    said = ast.get_docstring(function) is not None
    return (function.end_lineno or 0) - function.lineno + 1 - (said and (first.end_lineno or 0) - first.lineno + 1)


def depth(node: ast.AST) -> int:
    """How many blocks lie inside each other in a function; an `elif` is no deeper than its `if`."""
    inner = max((depth(child) for child in ast.iter_child_nodes(node)), default=0)
    if not isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match):
        return inner
    chained = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    body = max((depth(child) for child in getattr(node, "body", [])), default=0)
    return max(inner, body + 1) if chained else inner + 1


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_has_at_most_250_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_function_has_at_most_40_lines_and_3_levels(path: Path) -> None:
    long = {f.name: lines(f) for f in functions(path) if lines(f) > 40}
    deep = {f.name: depth(f) for f in functions(path) if depth(f) > 3}
    assert (long, deep) == ({}, {})


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_function_takes_arguments_it_does_not_name(path: Path) -> None:
    # These are given whatever a class of the user's own takes, by Python, Lightning and a suite.
    known = {"_lightning": {"__new__", "load_from_checkpoint"}, "_network": {"__init__", "begun"}}
    given_on = known.get(path.stem, set())
    assert [f.name for f in functions(path) if f.args.kwarg and f.name not in given_on] == []


def test_packages_are_empty_so_that_importing_one_module_imports_no_other() -> None:
    # That of fusionbench itself imports what is asked of it, when it is asked (tests/api/test_public.py).
    full = [name(path) for path in CODE if path.name == "__init__.py" and path.read_text().strip()]
    assert full == ["fusionbench/__init__.py"]


def test_no_folder_is_called_after_nothing() -> None:
    vague = {"utils", "common", "helpers", "misc"}
    assert [name(path) for path in PYTHON if vague & {path.stem, *path.relative_to(ROOT).parts}] == []


def test_tests_mirror_the_folders() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= {path.name for path in (ROOT / "fusionbench").iterdir() if path.is_dir()} | {"benchmarks", "fuzz"}


def test_no_two_test_files_share_a_name() -> None:
    stems = [path.stem for path in (ROOT / "tests").rglob("*.py") if path.stem != "conftest"]
    assert sorted(stems) == sorted(set(stems))
