"""What a workspace and a report say, read back as JSON from files and from what a server was sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from published_suite import Published, made_up, timed
from tracking_server import Server, serving

from fusionbench.report.write import write_report

ROOT = Path(__file__).parent.parent.parent
KEY = "a" * 40
GROUP = {"key": {"section": "run", "name": "group"}, "op": "=", "value": "tiny/digits/same_encoders", "disabled": False}
FIELDS = ("strategy", "mean", "low", "high", "seeds", "rank", "close")
COSTS = ["cost/latency_ms", "cost/fusion_parameters"]
CURVES = ["validation/accuracy", "train/loss"]


@pytest.fixture
def done(made: Published, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Every run done, and timed; pictures are drawn where a test asks for them."""
    monkeypatch.setattr("fusionbench.cli.main.written", lambda *_: [])
    for number, run in enumerate(made.runs):
        made.store.publish(made_up(run, "done", number))
        made.store.publish_measure(run, "size", {"fusion_parameters": 1 + number, "encoder_parameters": 7})
    timed(made, 0.25, "2026-01-01")
    return made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that takes all, and that W&B knows."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as made:
        monkeypatch.setenv("WANDB_BASE_URL", made.url)
        yield made


def files_of(made: Published) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in (made.wandb / "dashboard").glob("*.json")}


def panels_of(view: dict[str, Any]) -> dict[str, list[Any]]:
    """Of a workspace, by section."""
    return {one["name"]: one["panels"] for one in view["spec"]["section"]["panelBankConfig"]["sections"]}


def grids_of(report: dict[str, Any]) -> list[tuple[list[Any], list[Any]]]:
    """Run sets and panels of each grid."""
    grids = [block["metadata"] for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
    return [(one["runSets"], one["panelBankSectionConfig"]["panels"]) for one in grids]


def check_panels(found: dict[str, list[Any]]) -> None:
    """Ranked charts with intervals, costs, curves and parameters by strategy."""
    for chart in found["Ranked, with 95 % intervals"]:
        assert chart["config"]["fieldSettings"] == {name: name for name in FIELDS}
        assert {"name": "tableKey", "value": "ranked"} in chart["config"]["userQuery"]["queryFields"][0]["fields"][0][
            "args"
        ]
    axes = [(one["config"]["xAxis"], one["config"]["yAxis"]) for one in found["Accuracy against cost"]]
    assert axes == [
        (f"summary:cost/{name}", "summary:mean/test/accuracy") for name in ("latency_ms", "fusion_parameters")
    ]
    curves = [one["config"] for one in found["Learning curves"]]
    assert [one["metrics"] for one in curves] == [[name] for name in CURVES]
    assert {(one["groupBy"], one["groupAgg"], one["groupArea"]) for one in curves} == {("jobType", "mean", "minmax")}
    bars = [one["config"] for one in found["Parameters"]]
    assert [one["metrics"] for one in bars] == [["cost/fusion_parameters"], ["cost/encoder_parameters"]]
    assert {one["groupBy"] for one in bars} == {"jobType"}


def test_the_workspace_is_written_without_any_server(done: Published, capfd: pytest.CaptureFixture[str]) -> None:
    assert done.call("dashboard", "--wandb", "offline") == 0
    found = files_of(done)
    view = found["workspace-1"]
    check_panels(panels_of(view))
    (runs,) = view["spec"]["section"]["runSets"]
    assert runs["filters"]["filters"] == [GROUP]
    assert runs["grouping"] == [{"section": "run", "name": "jobType"}]
    assert runs["sort"]["keys"][0]["key"]["name"] == "mean/test/accuracy"
    coloured = " ".join(view["spec"]["section"]["customRunColors"])
    (table,) = panels_of(view)["The table"]
    for strategy in ("concat", "late"):
        assert strategy in coloured
        assert f"`{strategy}`" in table["config"]["value"]
    assert (view["projectName"], view["type"]) == ("fusionbench", "project-view")
    assert {found[f"chart-{number}"]["name"] for number in (1, 2)} == {
        chart["config"]["panelDefId"] for chart in panels_of(view)["Ranked, with 95 % intervals"]
    }
    assert "8 runs written" in capfd.readouterr().out


def test_the_report_is_written_with_run_sets_of_seeds_of_means_and_of_the_table(done: Published) -> None:
    assert done.call("dashboard", "--wandb", "offline") == 0
    report = files_of(done)["report"]
    text = json.dumps([block for block in report["spec"]["blocks"] if block["type"] == "markdown-block"])
    assert all(f"`{strategy}`" in text for strategy in ("concat", "late"))
    assert "fusionbench dashboard tiny" in text
    tags = []
    for (runs,), _ in grids_of(report):
        group, tag = runs["filters"]["filters"]
        assert group == GROUP
        assert "project" not in runs  # Only a server knows its number.
        tags += tag["value"]
    assert tags == ["table-run", "summary-run", "final", "table-run"]
    ranked, costs, curves, tables = [panels for _, panels in grids_of(report)]
    check_panels(
        {
            "Ranked, with 95 % intervals": ranked,
            "Accuracy against cost": costs[:2],
            "Parameters": costs[2:],
            "Learning curves": curves,
        }
    )
    assert ["strategies" in json.dumps(panel) for panel in tables] == [True, False]


def test_the_same_records_give_the_same_bytes(done: Published) -> None:
    def bytes_of() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (done.wandb / "dashboard").iterdir()}

    assert done.call("dashboard", "--wandb", "offline") == 0
    before = bytes_of()
    assert done.call("dashboard", "--wandb", "offline") == 0
    assert bytes_of() == before


def test_a_server_gets_runs_tables_results_workspace_and_report_each_once(
    done: Published, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert done.call("dashboard", "--wandb-entity", "us") == 0
    shown = capfd.readouterr()
    assert (shown.err, shown.out.splitlines()[0]) == ("", "W&B, project fusionbench: 8 runs sent")
    urls = re.findall(r"^(.+): http", shown.out, re.MULTILINE)
    assert urls == ["report", "workspace of tiny/digits/same_encoders"]
    assert set(server.projects) == {("us", "fusionbench")}
    assert len(server.ids) == 8
    report, view = server.views
    assert [(one["entityName"], one["type"]) for one in server.views] == [("us", "runs"), ("us", "project-view")]
    check_panels(panels_of(view))
    for (runs,), _ in grids_of(report):
        assert runs["project"] == {"name": "fusionbench", "entityName": "us", "id": "77"}
    charts = {f"us/{chart['chartName']}" for chart in server.charts}
    assert charts == {one["config"]["panelDefId"] for one in panels_of(view)["Ranked, with 95 % intervals"]}
    assert "errorbar" not in json.dumps(server.charts)  # Intervals are ours, not Vega's.
    assert {("results", "tiny-results")} < set(server.artifacts)
    counts = len(server.ids), len(server.views), len(server.charts), len(server.artifacts)
    assert done.call("dashboard", "--wandb-entity", "us") == 0
    assert (len(server.ids), len(server.views), len(server.charts), len(server.artifacts)) == counts
    assert "0 runs sent, 8 were there already" in capfd.readouterr().out


def test_tables_and_results_arrive_whole(done: Published, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionbench.cli.main.written", write_report)
    assert done.call("dashboard") == 0
    uploaded = {name.rpartition("/")[2]: content for name, content in server.uploads.items()}
    tables = {name: json.loads(uploaded[f"{name}.table.json"]) for name in ("ranked", "strategies", "seeds")}
    ranked = [dict(zip(tables["ranked"]["columns"], row, strict=True)) for row in tables["ranked"]["data"]]
    assert [row["strategy"] for row in ranked] == ["late", "concat"]
    assert ranked[0]["low"] == ranked[0]["mean"] - ranked[0]["half_width"]
    assert len(tables["seeds"]["data"]) == 4
    assert len(tables["strategies"]["data"]) == 2
    for run in done.runs:
        name = done.store.path(run).relative_to(done.store.root)
        assert server.uploads[f"artifact/{name}"] == done.store.path(run).read_bytes()
    assert "table.md" in uploaded
    assert sorted(path.name for path in done.wandb.iterdir()) == ["dashboard", "push.lock", "sent"]
    assert not [name for name in server.uploads if name.endswith((".npz", ".wandb"))]


def test_a_new_record_changes_workspace_and_report_in_their_place(done: Published, server: Server) -> None:
    assert done.call("dashboard") == 0
    done.store.path(done.runs[0]).unlink()
    done.store.publish(made_up(done.runs[0], "done", 9))
    assert done.call("dashboard") == 0
    first, second, third, fourth = server.views
    assert (third["id"], fourth["id"]) == ("view1", "view2")
    assert (fourth["name"], fourth["type"]) == (second["name"], "project-view")
    assert third["spec"] != first["spec"]


def test_an_account_that_takes_no_charts_gets_bars_without_intervals_and_is_told(
    done: Published, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.without = "CreateCustomChart"
    assert done.call("dashboard") == 0
    assert "bars have no intervals: " in capfd.readouterr().err
    (chart,) = panels_of(server.views[1])["Ranked, with 95 % intervals"]
    assert chart["config"]["panelDefId"] == "wandb/bar/v0"
    server.without = ""
    assert done.call("dashboard") == 0
    assert len(panels_of(server.views[3])["Ranked, with 95 % intervals"]) == 2


def test_a_server_without_workspaces_has_the_runs_and_the_rest_is_kept(
    done: Published, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.without = "View2"
    assert done.call("dashboard") == 2
    shown = capfd.readouterr()
    assert "8 runs sent" in shown.out
    assert shown.err.count("\n") == 1
    assert all(part in shown.err for part in ("the runs are there", "results/tiny/wandb/dashboard"))
    server.without = ""
    assert done.call("dashboard") == 0
    assert [one["type"] for one in server.views] == ["runs", "project-view"]  # The report had been saved.


def test_without_a_key_all_is_kept(done: Published, capfd: pytest.CaptureFixture[str]) -> None:
    assert done.call("dashboard") == 2
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert all(part in shown for part in ("WANDB_API_KEY", "0 of 8 runs sent, 8 kept as files in"))
    assert set(files_of(done)) == {"report", "workspace-1", "chart-1", "chart-2"}


def test_without_a_finished_run_it_says_what_to_do(made: Published, capfd: pytest.CaptureFixture[str]) -> None:
    made.store.path(made.runs[0]).unlink()
    assert made.call("dashboard", "--wandb", "offline") == 2
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    assert "no finished run (1 diverged, 1 failed, 1 missing, 1 skipped)" in shown
    assert "`fusionbench run tiny --again failed,diverged`" in shown


@pytest.mark.parametrize("verb", ["dashboard", "report", "push"])
def test_no_torch_is_loaded(verb: str, done: Published) -> None:
    words = done.words(verb, *(["--wandb", "offline"] if verb != "report" else []))
    code = (
        f"import sys\nfrom fusionbench.cli.main import main\nassert main({words!r}) == 0\n"
        "print([name for name in ('torch', 'lightning', 'timm') if name in sys.modules], file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr.strip().splitlines()[-1] == "[]"


def test_one_file_alone_knows_the_library_and_its_private_parts() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "fusionbench").rglob("*.py")}
    assert [name for name, text in texts.items() if "wandb_workspaces" in text] == ["workspaces.py"]
    users = ("panels.py", "dashboard.py", "charts.py")
    assert [name for name in users if re.search(r"\w\._[a-z]", texts[name])] == []
