"""What runs cost besides time, in tables of every form: where records say it, and nowhere else."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from made_up_suite import Bench, make

from fusionbench.publish.summaries import summary_run
from fusionbench.report.layout import markdown
from fusionbench.report.making import made_report
from fusionbench.report.paper_columns import known_columns, paper_columns
from fusionbench.report.tables import Table, tables

GPU = {"memory_bytes": 7_000_000, "memory_of": "device", "joules": {"processor": 30.0, "device": 90.0}}


def filled(folder: Path) -> Bench:
    """Two seeds of `late`, whose memory is of the process, and one of `concat`, which ran on a GPU."""
    bench = make(folder, "late", "concat", "sum", seeds=2)
    for run in bench.runs("late"):
        cost = {"memory_bytes": 1_000_000 * (1 + run.seed), "memory_of": "process", "uncounted": {"processor": "none"}}
        bench.done(run, 0.8, cost=cost)
    bench.done(bench.runs("concat")[0], 0.9, cost=GPU)
    bench.done(bench.runs("sum")[0], 0.7)
    run = bench.runs("concat")[0]
    bench.store.publish_measure(run, "size", {"fusion_parameters": 5, "encoder_parameters": 6, "disk_bytes": 44_000})
    return bench


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def cells(page: str, strategy: str) -> dict[str, str]:
    lines = [line.removeprefix("|").removesuffix("|") for line in page.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    (row,) = (row for row in rows if row[0] == f"`{strategy}`")
    return dict(zip(rows[0], row, strict=True))


def test_memory_energy_and_bytes_are_columns_with_a_sentence(tmp_path: Path) -> None:
    page = markdown(one(filled(tmp_path)))
    assert cells(page, "late")["peak memory, bytes"] == "1.50 M"
    found = cells(page, "concat")
    assert [found[name] for name in ("bytes on disk", "processor's energy, J", "GPU's energy, J")] == [
        "44.0 k",
        "30",
        "90",
    ]
    assert {cells(page, "sum")[name] for name in ("bytes on disk", "peak memory, bytes")} == {"-"}
    assert "the process's own rose" in page
    assert "what torch held on the GPU" in page
    assert "of what else ran there too" in page


def test_where_no_record_says_it_there_is_no_word_of_it(tmp_path: Path) -> None:
    bench = make(tmp_path, "late")
    bench.done(bench.runs()[0], 0.8)
    page = markdown(one(bench))
    assert not any(word in page for word in ("memory", "energy", "Energy", "on disk"))
    files = {path.name: content.decode() for path, content in made_report(bench.suite, bench.store, draw=False).files}
    assert "memory_bytes" not in files["table.csv"] + files["seeds.csv"]


def test_machines_get_every_digit_of_every_seed(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    files = {path.name: content.decode() for path, content in made_report(bench.suite, bench.store, draw=False).files}
    rows = {row["strategy"]: row for row in csv.DictReader(io.StringIO(files["table.csv"]))}
    assert [rows[name]["memory_bytes"] for name in ("late", "concat", "sum")] == ["1500000.0", "7000000.0", ""]
    assert rows["concat"]["device_joules"] == "90.0"
    seeds = [row for row in csv.DictReader(io.StringIO(files["seeds.csv"])) if row["strategy"] == "late"]
    assert [row["memory_bytes"] for row in seeds] == ["1000000.0", "2000000.0"]


def test_a_paper_and_wandb_can_have_them(tmp_path: Path) -> None:
    table = one(filled(tmp_path))
    assert {"disk", "memory", "energy", "gpu_energy"} <= set(known_columns(table))
    (memory,) = paper_columns(table, ["memory"])
    assert memory.unit == "(MB)"
    assert [row.strategy for row, cell in zip(table.rows, memory.cells, strict=True) if cell == ("1.50",)] == ["late"]
    (late,) = (row for row in table.rows if row.strategy == "late")
    assert summary_run(table, late).summary["cost/memory_bytes"] == 1_500_000
