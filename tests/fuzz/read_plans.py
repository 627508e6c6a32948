"""Readers of what people write and of what runs leave: suites, tables, records."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from edits import Program, as_json, edited, edited_tree
from readers import ROOT, Files, Reader
from sklearn.datasets import load_wine

from fusionbench.core.errors import UserError
from fusionbench.data.inspection import inspected
from fusionbench.data.manifests.columns import columns_of
from fusionbench.data.manifests.conversion import Plan, Reading, write_table
from fusionbench.data.manifests.rows import Rows
from fusionbench.data.roles import Said
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, read_source
from fusionbench.records import resamples
from fusionbench.records.reading import facts_at, track_of
from fusionbench.records.record import InvalidRecord, from_text, to_text


class Suites(Reader):
    """YAML."""

    name, first_check = "suite", "it is YAML that holds a mapping"
    most = 1000
    """Bytes: larger shipped suites plan hundreds of rows."""
    tokens = (
        *(b"&a ", b"*a", b"!!python/object/apply:os.system ['true']", b"!!str ", b"<<: ", b"---\n", b"...\n", b"? "),
        *(b"- ",),
        *(b"  ", b"\n", b": ", b"|\n", b">\n", b"'", b'"', b'"\\uD800"', b"\\0", b"\t", b"#", *b"[ ] { } ~ %".split()),
        *b"1e999 .nan 0x10 1:60:60 2020-01-01 0b1 1_000 -1 all true tuned matched_parameters unimodal late".split(),
        *b"this antigravity.fly os.path:join ../evil.py:Net /dev/zero fusionbench.cli.main".split(),
        *(b"seeds: ", b"budget: {epochs: 0}", b"tracks: [tuned]", b"pretrain: true", b"encoders:\n", b"keep: weights"),
        *(b"families: [{name: a, rows: all}]", b"compare_with: [quickstart, ../x.yaml, /etc/passwd]", b"9" * 5000),
        *(b"{name: digits, options: {view: halves}}", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    )

    def __init__(self) -> None:
        found = sorted((ROOT / "experiments").glob("*.yaml"))
        self.texts = [path.read_bytes() for path in found if path.stat().st_size < self.most]
        self.trees = [as_json(yaml.safe_load(text)) for text in self.texts]

    def make(self, program: Program) -> Files:
        """One of the shipped ones: its text, its lines, or its values."""
        how, at = program.byte() % 4, program.below(len(self.texts))
        text = self.texts[at]
        if how == 0:
            return {"suite.yaml": edited(text, program, self.tokens)}
        if how > 1:
            return {"suite.yaml": as_json(edited_tree(json.loads(self.trees[at]), program))}
        lines = text.splitlines(keepends=True)
        while program.left and lines:
            at, kind = program.below(len(lines)), program.byte() % 4
            if kind == 0:
                del lines[at]
            elif kind == 1:
                lines.insert(program.below(len(lines)), lines[at])
            else:
                head, colon, rest = lines[at].partition(b": ")
                value = program.chosen(self.tokens) + b"\n" if kind == 2 else edited(rest, _part(program), self.tokens)
                lines[at] = head + colon + value
        return {"suite.yaml": b"".join(lines)}

    def passes(self, files: Files) -> bool:
        """By the reader's first half."""
        try:
            parse_source(files["suite.yaml"].decode(), "x")
        except (UserError, UnicodeDecodeError):
            return False
        return True

    def read(self, folder: Path, files: Files) -> None:
        """Planned; of what is planned, some keys."""
        suite = suite_of(read_source(str(folder / "suite.yaml")))
        assert all(len(run.key) == 12 for run in islice(suite.runs(), 3))


def _part(program: Program) -> Program:
    return Program(bytes(program.byte() for _ in range(8)))


class Manifests(Reader):
    """Tables of one's own, in three forms."""

    name, first_check = "manifest", "its header or footer is read"
    columns: dict[str, Any] = {
        "alcohol": "number",
        "malic_acid": "number",
        "region": "category",
        "numbers": {"kind": "vector", "numbers": ("ash", "hue")},
    }
    tokens = (
        *(b",", b"\n", b"\r\n", b'"', b'""', b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b" ", b"\t", b'{"target": 1}'),
        *(b'"\\ud800"',),
        *b"nan inf 1e999 -0 NaN Infinity 1,2 alcohol target train test null {} [] true PAR1".split(),
        *(b"[" * 3000, b"\xed\xa0\x80", b"9" * 400, b"x" * 500, b"\xe2\x80\xa8", b"\xf0\x9f\x8d\xb7", b"\x15\x00"),
    )

    def __init__(self) -> None:
        wine = load_wine(as_frame=True).frame.iloc[::6].reset_index(drop=True)
        wine["region"] = ["Rome", "Oslo", "Lima"] * (len(wine) // 3)
        wine["note"] = [f"bottle {row}" for row in range(len(wine))]
        wine.loc[3, "malic_acid"] = None
        kept = wine[["alcohol", "malic_acid", "ash", "hue", "region", "note", "target"]]
        buffer = io.BytesIO()
        kept.to_parquet(buffer)
        self.tables = {
            "table.csv": kept.to_csv(index=False).encode(),
            "table.jsonl": kept.to_json(orient="records", lines=True).encode(),
            "table.parquet": buffer.getvalue(),
        }

    def make(self, program: Program) -> Files:
        """One of the forms; of JSON also its values."""
        how, name = program.byte(), program.chosen(("table.csv", "table.csv", "table.jsonl", "table.parquet"))
        content = self.tables[name]
        if name == "table.jsonl" and how % 3:
            rows = edited_tree([json.loads(line) for line in content.splitlines()], program)
            return {name: b"\n".join(map(as_json, rows if isinstance(rows, list) else [rows]))}
        end = len(content)
        hot = [(0, 60)] if name != "table.parquet" else [(end - 1500, end), (0, 100)]
        return {name: edited(content, program, self.tokens, hot)}

    def passes(self, files: Files) -> bool:
        """By pandas' readers, and Arrow's."""
        ((name, content),) = files.items()
        try:
            match name:
                case "table.csv":
                    return content[:40].decode().startswith("alcohol,malic_acid,ash,hue")
                case "table.jsonl":
                    return isinstance(json.loads(content.splitlines()[0]), dict)
            return pq.ParquetFile(io.BytesIO(content)).metadata.num_columns > 0
        except Exception:  # noqa: BLE001  (whatever it is, it is none)
            return False

    def read(self, folder: Path, files: Files) -> None:
        """Looked at, and converted."""
        (name,) = files
        table, made = Rows(folder / name), folder / "made"
        made.mkdir()
        found, plan = None, None
        try:
            found = inspected(table, Said(labels=("target",)), folder, files=False)
            plan = Plan("manifest", table, columns_of("manifest", self.columns), _reading(), folder).against_file()
            places = write_table(plan, made)
        finally:
            shutil.rmtree(made)
        assert 0 < len(places) <= len(found.places)


def _reading() -> Reading:
    return Reading(("target",), "multiclass", "", "", "", 0.2)


class Records(Reader):
    """What runs leave, and what lies beside."""

    name, first_check = "record", "it is JSON that holds a mapping"
    refused = (InvalidRecord,)
    tokens = (b'"', b"\\ud800", b"\xff", b"\0", b"[" * 3000, b"9" * 5000, *b"{ } NaN 1e999 null , :".split())

    def __init__(self) -> None:
        results = ROOT / "results"
        self.samples: dict[str, list[bytes]] = {"record": [], "resamples": [], "measure": [], "latency": []}
        for path in sorted(results.rglob("*.json"))[::37]:
            if path.stat().st_size < 16_000:
                self.samples[_kind_of(path)].append(path.read_bytes())
        self.samples["latency"] += [path.read_bytes() for path in sorted(results.rglob("latency/*.json"))[:2]]
        self.samples = {kind: found[:40] for kind, found in self.samples.items() if found}

    def make(self, program: Program) -> Files:
        """One of them: its text, or its values."""
        how = program.byte()
        kind = program.chosen(("record", "record", *sorted(self.samples)))
        content = program.chosen(self.samples[kind])
        if how % 4 == 0:
            return {f"{kind}.json": edited(content, program, self.tokens)}
        return {f"{kind}.json": as_json(edited_tree(json.loads(content), program))}

    def passes(self, files: Files) -> bool:
        """By Python's reader."""
        (content,) = files.values()
        try:
            return isinstance(json.loads(content), dict)
        except (ValueError, RecursionError):
            return False

    def read(self, folder: Path, files: Files) -> None:
        """By what it is."""
        (name,) = files
        content = files[name]
        if name == "record.json":
            record = from_text(content)
            assert from_text(to_text(record)) == record
            assert record.score is None or isinstance(record.score, float)
        elif name == "resamples.json":
            found = resamples.from_text(content)
            assert all(len(values) == found.resamples for values in found.scores.values())
        else:
            facts = facts_at(folder / name, _key_in(content))
            assert facts["key"] == _key_in(content)
            if name == "latency.json":
                _track(facts)


def _track(facts: dict[str, Any]) -> None:
    """As the store does, which moves aside what these errors come from."""
    read: Callable[..., Any] = track_of
    try:
        read(facts)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRecord(str(error)) from error


def _key_in(content: bytes) -> str:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("key", "")) if isinstance(found, dict) else ""


def _kind_of(path: Path) -> str:
    if path.parent.name == "latency":
        return "latency"
    return "record" if "." not in path.stem else "resamples" if path.stem.endswith(".resamples") else "measure"
