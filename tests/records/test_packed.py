"""Packed tables: back byte for byte, read from a folder, a file or a URL, and nothing hostile in them counts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import fusionbench
from fusionbench.cli.main import main
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.records import fetched
from fusionbench.records.agreement import Verdict
from fusionbench.records.environment import environment
from fusionbench.records.find import find
from fusionbench.records.packed import from_lines
from fusionbench.records.tree import INDEX, pack, unpack
from fusionbench.records.verified import NAME, mark_verified, marks_of

PUBLISHED = Path(__file__).parents[2] / "results"
SMALL = ("quickstart/digits/concat", "quickstart/digits/late", "quickstart/digits/latency", "youtube8m/*/concat")
"""Six seeds of two rows, a latency session; a row with trials."""


def jsons(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("some") / "results"
    for pattern in SMALL:
        for folder in PUBLISHED.glob(pattern):
            shutil.copytree(folder, root / folder.relative_to(PUBLISHED))
    return root


@pytest.fixture(scope="module")
def tree(results: Path) -> Path:
    found = results.parent / "packed"
    assert pack(results, found).faults == []
    return found


@pytest.fixture
def lines(tree: Path) -> list[bytes]:
    return (tree / "quickstart/digits/same_encoders.jsonl").read_bytes().splitlines()


def read(lines: list[bytes]) -> tuple[int, list[str]]:
    """How many count, and what is said."""
    found = from_lines(b"".join(line + b"\n" for line in lines), "some.jsonl")
    return len(found.runs), found.faults


def changed(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    found = json.loads(line)
    change(found)
    return json.dumps(found).encode()


def test_what_was_packed_comes_back_byte_for_byte(results: Path, tree: Path, tmp_path: Path) -> None:
    done = unpack(tree, tmp_path)
    assert done.faults == []
    assert len(done.tables) == 2
    assert jsons(tmp_path) == jsons(results)
    assert len(jsons(results)) > 30
    assert unpack(tree, tmp_path).faults == [], "again changes nothing"


def test_the_same_records_are_the_same_bytes_and_older_forms_of_files_stay(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    size = next((tmp_path / "results").glob("quickstart/digits/concat/*.size.json"))
    size.write_text(json.dumps(json.loads(size.read_text()), indent=4))  # As another version might have written it.
    pack(tmp_path / "results", tmp_path / "one")
    pack(tmp_path / "results", tmp_path / "two")
    files = {path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.json*")}
    assert all((tmp_path / "two" / path).read_bytes() == content for path, content in files.items())
    unpack(tmp_path / "one", tmp_path / "back")
    assert jsons(tmp_path / "back") == jsons(tmp_path / "results")


def test_runs_of_others_stay_in_a_tree_that_is_packed_into_again(results: Path, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    before = (tmp_path / "tree" / "quickstart/digits/same_encoders.jsonl").read_bytes()
    shutil.copytree(results / "quickstart/digits/late", tmp_path / "mine/quickstart/digits/late")
    assert pack(tmp_path / "mine", tmp_path / "tree", ["quickstart"]).runs == 6
    assert (tmp_path / "tree" / "quickstart/digits/same_encoders.jsonl").read_bytes() == before
    record = next((tmp_path / "mine").glob("quickstart/digits/late/" + "?" * 12 + ".json"))
    record.write_text(record.read_text().replace('"train_seconds": ', '"train_seconds": 1'))
    (said,) = pack(tmp_path / "mine", tmp_path / "tree").faults
    assert record.stem in said
    assert (tmp_path / "tree" / "quickstart/digits/same_encoders.jsonl").read_bytes() == before


def test_load_results_reads_a_folder_a_tree_a_file_and_a_url(results: Path, tree: Path) -> None:
    plain = fusionbench.load_results(results).drop(columns="path")
    file = tree / "quickstart/digits/same_encoders.jsonl"
    assert len(plain[plain["suite"] == "quickstart"]) == 12
    for source in (tree, tree.as_uri()):
        assert fusionbench.load_results(source).drop(columns="path").equals(plain)
    for one in (file, file.as_uri()):
        found = fusionbench.load_results(one)
        assert found["score"].tolist() == plain[plain["suite"] == "quickstart"]["score"].tolist()
        assert found["end_to_end_ms_batch1"].notna().all()


@pytest.fixture
def served(tree: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tree))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_tree_is_read_over_http(results: Path, served: str, tmp_path: Path) -> None:
    assert len(fusionbench.load_results(served)) == len(fusionbench.load_results(results))
    assert main(["unpack", f"{served}/index.json", "--results", str(tmp_path)]) == 0
    assert jsons(tmp_path) == jsons(results)
    with pytest.raises(UserError, match=r"nowhere/index\.json: cannot be read: 404"):
        fusionbench.load_results(f"{served}/nowhere")


def test_what_is_larger_than_the_limit_or_not_what_the_index_says_is_one_line(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    url = (tmp_path / "tree").as_uri()
    monkeypatch.setattr(fetched, "LARGEST_FILE", 1000)
    for place in (url, f"{url}/quickstart/digits/same_encoders.jsonl"):
        with pytest.raises(UserError, match="limit"):
            fusionbench.load_results(place)
    monkeypatch.undo()
    file = tmp_path / "tree/quickstart/digits/same_encoders.jsonl"
    file.write_bytes(file.read_bytes().replace(b"concat", b"comcat", 1))
    with pytest.raises(UserError, match="SHA-256"):
        fusionbench.load_results(url)
    with pytest.raises(UserError, match="a URL of ftp; give one of http, https, file"):
        fusionbench.load_results("ftp://example.org/results")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "quickstart/../x.jsonl", "a/b/c/d.jsonl", "x.py"])
def test_an_index_that_leads_out_of_its_tree_is_refused(path: str, tmp_path: Path) -> None:
    stated = {"path": path, "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    (tmp_path / INDEX).write_text(json.dumps({"packed": 1, "files": [stated]}))
    with pytest.raises(UserError, match="no place of a table"):
        fusionbench.load_results(tmp_path.as_uri())


@pytest.mark.parametrize("part", ["suite", "dataset", "track"])
def test_a_title_that_leads_out_of_the_folder_is_refused(part: str, lines: list[bytes]) -> None:
    for name in ("..", "a/b", "/etc", "", ".git", "x" * 300, 3):
        with pytest.raises(UserError, match=f"some.jsonl: {part} .* is no name of a folder"):
            read([changed(lines[0], lambda title, name=name: title.update({part: name})), *lines[1:]])  # type: ignore[misc]


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "is no name of a folder": lambda run: run.update(strategy="../../../tmp"),
    "is no key": lambda run: run.update(key="../../passwd"),
    "is no ending": lambda run: run["files"].update({"../x.json": {}}),
    "has no record": lambda run: run["files"].pop("json"),
    "belongs to": lambda run: run.update(strategy="low_rank"),
    "holds the record of": lambda run: run.update(key="0" * 12),
    "is not the hash": lambda run: run["files"]["json"]["spec"].update(seed=77),
    "done, yet without scores": lambda run: run["files"]["json"].update(scores={}),
    "resamples": lambda run: run["files"]["resamples.json"].update(key="0" * 12),
    "not the file of": lambda run: run["files"]["size.json"].update(schema=9),
    "is no count": lambda run: run["files"]["size.json"].update(fusion_parameters="many"),
    "no line of packed records": lambda run: run.update(more=1),
    "is no text": lambda run: run.update(texts={"mine.json": 3}),
}


@pytest.mark.parametrize("said", HOSTILE)
def test_what_is_wrong_with_a_line_is_named_and_the_others_count(said: str, lines: list[bytes]) -> None:
    counted, faults = read([lines[0], changed(lines[1], HOSTILE[said]), *lines[2:]])
    assert counted == len(lines) - 2
    (fault,) = faults
    assert fault.startswith("some.jsonl, line 2: ")
    assert said in fault


def test_a_truncated_line_and_what_is_no_json_are_named(lines: list[bytes]) -> None:
    deep = b"[" * 100_000
    counted, faults = read([lines[0], lines[1][: len(lines[1]) // 2], deep, b'"text"', b'{"key": NaN}', *lines[2:]])
    assert counted == len(lines) - 2
    assert [fault.split(":")[0] for fault in faults] == [f"some.jsonl, line {number}" for number in (2, 3, 4, 5)]
    whole = b"\n".join(lines)
    cut = from_lines(whole[: len(whole) - 40], "some.jsonl")
    assert len(cut.runs) == len(lines) - 2
    assert len(cut.faults) == 1


def test_a_key_that_stands_twice_counts_not_at_all(lines: list[bytes]) -> None:
    counted, faults = read([*lines, lines[3]])
    assert counted == len(lines) - 2
    assert [fault.split(":")[0] for fault in faults] == ["some.jsonl, line 4", f"some.jsonl, line {len(lines) + 1}"]
    twice = lines[1].replace(b'"strategy":', b'"strategy":"late","strategy":', 1)
    counted, faults = read([lines[0], twice, *lines[2:]])
    assert counted == len(lines) - 2
    assert faults == ["some.jsonl, line 2: strategy twice; not counted"]


def test_the_command_says_what_it_left_out_and_goes_on(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    file = tmp_path / "tree/quickstart/digits/same_encoders.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    (tmp_path / "tree/notes.jsonl").write_text("{}\n")
    os.mkfifo(tmp_path / "tree/pipe.jsonl")  # Reading it would wait for ever.
    assert main(["unpack", str(tmp_path / "tree"), "--results", str(tmp_path / "results")]) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 2
    assert "2 left out" in captured.out
    with pytest.warns(UserWarning, match="and 1 more"):
        assert len(fusionbench.load_results(tmp_path / "tree")) > 10
    assert main(["pack", "--results", str(tmp_path / "nowhere"), "--to", str(tmp_path / "x")]) == 2
    assert main(["pack", "quick", "--results", str(tmp_path / "results"), "--to", str(tmp_path / "x")]) == 2
    assert "no records of suite 'quick'; there are quickstart" in capsys.readouterr().err


def test_a_mark_is_of_the_bytes_of_a_record_and_travels_with_the_tree(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    (record,) = [
        path
        for path in (tmp_path / "results").glob("quickstart/digits/concat/" + "?" * 12 + ".json")
        if RunSpec.from_json(json.loads(path.read_text())["spec"]).seed == 0
    ]
    found = find(tmp_path / "results", record.stem)
    for when in ("2026-11-26T00:00:00+00:00", "2026-11-27T00:00:00+00:00"):
        mark_verified(tmp_path / "results" / NAME, found, Verdict(bytes_are_equal=True), environment(), when)
    (mark,) = marks_of(tmp_path / "results" / NAME)
    assert mark.sha256 == hashlib.sha256(record.read_bytes()).hexdigest()
    pack(tmp_path / "results", tmp_path / "tree")
    for source in (tmp_path / "results", tmp_path / "tree", (tmp_path / "tree").as_uri()):
        frame = fusionbench.load_results(source)
        assert frame[frame["verified"]]["key"].tolist() == [record.stem]
    record.write_text(record.read_text().replace('"train_seconds": ', '"train_seconds": 1'))
    assert not fusionbench.load_results(tmp_path / "results")["verified"].any()
