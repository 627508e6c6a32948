"""In a notebook: the one in docs/ runs, bars draw, and an interrupted cell leaves no worker and no claim."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

pytestmark = pytest.mark.filterwarnings("default")  # What the kernel's client warns of is its own.
NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"
START = """
import numpy as np
import fusionbench
rng = np.random.default_rng(0)
inputs = {"a": rng.normal(size=(400, 4)), "b": rng.normal(size=(400, 4))}
def compared(epochs):
    targets = (inputs["a"][:, 0] > 0).astype(int)
    budget = {"epochs": epochs}
    return fusionbench.compare(inputs, targets, strategies=["concat"], seeds=1, budget=budget, workers=1)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return tmp_path


def test_the_notebook_of_the_docs_runs_and_shows_bars_table_and_picture(folder: Path) -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells)  # Outputs would grow stale.
    NotebookClient(book, timeout=280, resources={"metadata": {"path": str(folder)}}).execute()
    bars, table = (output["data"] for output in cells[1].outputs if output.output_type != "stream")
    assert bars["text/plain"].splitlines()[-1].startswith("done in ")
    assert "<progress" in bars["text/html"]
    assert "<code>concat</code>" in table["text/html"]
    assert "the best fusion by validation, test accuracy 0.9" in cells[2].outputs[0].text
    assert "image/png" in cells[3].outputs[0]["data"]


@pytest.fixture
def kernel(folder: Path) -> Iterator[tuple[KernelManager, Any]]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def answered(client: Any, message: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The reply to a cell, and what it showed."""
    reply = client.get_shell_msg(timeout=240)
    while reply["parent_header"]["msg_id"] != message:  # Of what asked whether the kernel is ready.
        reply = client.get_shell_msg(timeout=240)
    shown = []
    while True:
        try:
            shown.append(client.get_iopub_msg(timeout=2)["content"])
        except Empty:
            return reply["content"], shown


def claims(folder: Path) -> list[Path]:
    return list((folder / "results").rglob("*.lock"))


def test_an_interrupted_cell_leaves_no_worker_and_no_claim_and_the_next_goes_on(
    folder: Path, kernel: tuple[KernelManager, Any]
) -> None:
    manager, client = kernel
    message = client.execute(START + "result = compared(100_000)")
    until(lambda: bool(claims(folder)))
    time.sleep(1)
    manager.interrupt_kernel()
    content, shown = answered(client, message)
    assert (content["status"], content["ename"]) == ("error", "KeyboardInterrupt")
    bars = [one["data"]["text/plain"] for one in shown if "text/html" in one.get("data", {})]
    assert any("concat, seed 0 " in bar for bar in bars)
    assert bars[-1].splitlines()[-1].startswith("stopped after ")
    assert claims(folder) == []
    pid = manager.provisioner.pid  # type: ignore[union-attr]
    servers = children(pid)
    assert [child for server in servers for child in children(server)] == []
    content, _ = answered(client, client.execute("result = compared(2); assert dict(result.counts) == {'done': 1}"))
    assert content["status"] == "ok", content
    assert children(pid) == servers  # The same server: the second comparison did not wait for imports.


def until(holds: Any) -> None:
    end = time.monotonic() + 200
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Those of a process that run."""
    words = [Path(task / "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sorted(int(word) for found in words for word in found)


def test_a_cell_interrupted_while_the_server_starts_leaves_nothing(
    folder: Path, kernel: tuple[KernelManager, Any]
) -> None:
    manager, client = kernel
    answered(client, client.execute(START))
    message = client.execute("result = compared(100_000)")
    until(lambda: len(children(manager.provisioner.pid)) >= 2)  # type: ignore[union-attr]
    manager.interrupt_kernel()
    content, _ = answered(client, message)
    assert content["ename"] == "KeyboardInterrupt"
    assert claims(folder) == []
    servers = children(manager.provisioner.pid)  # type: ignore[union-attr]
    until(lambda: not [child for server in servers for child in children(server)])
    content, _ = answered(client, client.execute("result = compared(2); assert dict(result.counts) == {'done': 1}"))
    assert content["status"] == "ok", content
