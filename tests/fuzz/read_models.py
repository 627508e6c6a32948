"""Readers of what models leave: weights, encoders trained beforehand, checkpoints, stored encodings."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edits import Program, as_json, edited, edited_tree
from readers import Files, Reader

from fusionbench.bench import artefacts
from fusionbench.bench.build import build, dataset_of, setting_for
from fusionbench.bench.weights import load_weights, weights_of
from fusionbench.data.base import MultimodalData
from fusionbench.data.store import MANIFEST, fingerprint_of, open_arrays
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store
from fusionbench.records.weights import checked_weights
from fusionbench.training.checkpoint import OURS, Checkpoint
from fusionbench.training.encodings import StoredEncoding, write_pieces
from fusionbench.training.torn import refuse_torn

SUITE = (
    "{name: s, datasets: [digits], strategies: [concat], seeds: 1, encoders: {image: {name: mlp, options: {width: 8}}}}"
)
ROWS = np.array([2, 5, 7, 11])
PICKLED = (
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"c__builtin__\nexec\n", b"S'true'\n", b"tR", b"\x85R", b"\x81"),
    *(b"K\xff",),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nload\n", b"cnumpy\nload\n", b"\x8a\x04\xff\xff\xff\x7f"),
    *b"( . Q } N".split(),
)


class Weights(Reader):
    """Safetensors with their facts; encoders trained beforehand and checkpoints, which torch reads as weights only."""

    name, first_check = "weights", "checksums are right: SHA-256 of safetensors, those of the archive of others"
    made_for = {"key": "0" * 12, "form": 1}

    def __init__(self) -> None:
        self.run, self.module = _model()
        self.content = weights_of(self.module)
        state = {name: value.clone() for name, value in self.module.state_dict().items()}
        scores = {"train/accuracy": 0.5, "validation/accuracy": 0.5, "epoch": 3}
        pretrained = {"weights": state, "scores": scores, "metric": "accuracy", "rows": 12, "spec": "{}"}
        going_on = {"state_dict": state, "epoch": 2, "loops": {"fit_loop": {"state_dict": {}}}, OURS: self.made_for}
        self.saved = {"encoder.pt": _saved(pretrained), "run.checkpoint": _saved(going_on)}

    def make(self, program: Program) -> Files:
        """One of the three."""
        how, name = program.byte(), program.chosen(("run.weights.safetensors", "encoder.pt", "run.checkpoint"))
        if name in self.saved:
            content = self.saved[name]
            return {name: edited(content, program, PICKLED) if how % 4 == 0 else _parts_edited(content, program)}
        facts = {"key": self.run.key, "schema": 1, "results_version": 2, "scores": {}}
        length = int.from_bytes(self.content[:8], "little")
        content = edited(
            self.content, program, (b'"', b"{", b"F64", b"BF16", b"data_offsets", b"[0,0]"), [(0, 8 + length)]
        )
        facts |= {"sha256": hashlib.sha256(content).hexdigest() if how % 4 < 3 else "0" * 64, "bytes": len(content)}
        beside = as_json(edited_tree(facts, program) if how % 4 == 2 else facts)
        return {name: content, "run.weights.json": beside}

    def passes(self, files: Files) -> bool:
        """By Python's own readers."""
        if "run.weights.json" in files:
            try:
                stated = json.loads(files["run.weights.json"])["sha256"]
            except (ValueError, KeyError, TypeError):
                return False
            return bool(stated == hashlib.sha256(files["run.weights.safetensors"]).hexdigest())
        (content,) = files.values()
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as parts:
                return parts.testzip() is None
        except Exception:  # noqa: BLE001  (whatever it is, it is none)
            return False

    def read(self, folder: Path, files: Files) -> None:
        """As a run does that goes on, or is measured."""
        if "encoder.pt" in files:
            artefacts._read(folder / "encoder.pt", made=False).put_into(self.module)
        elif "run.checkpoint" in files:
            told: list[str] = []
            kept = Checkpoint(folder / "run.checkpoint", self.made_for, 0.0, told.append).content(1)
            assert (kept is None) == bool(told)
        else:
            store = Store(folder, "s")
            place = store.path(self.run, ".weights.safetensors")
            place.parent.mkdir(parents=True)
            for name, content in files.items():
                place.with_name(name.replace("run", self.run.key)).write_bytes(content)
            path = checked_weights(store, self.run)
            assert path is not None
            load_weights(self.module, path)


def _model() -> tuple[RunSpec, FusionModule]:
    run = next(suite_of(parse_source(SUITE, "s")).runs())
    data: MultimodalData = dataset_of(run, None)
    data.prepare_data()
    data.setup()
    return run, build(run, setting_for(run, data.asked))


def _saved(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _parts_edited(content: bytes, program: Program) -> bytes:
    """The archive with one part edited, most often the pickle, and right checksums."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as parts, zipfile.ZipFile(made, "w") as new:
        infos = parts.infolist()
        pickle = next(info.filename for info in infos if info.filename.endswith("data.pkl"))
        chosen = pickle if program.byte() % 4 else program.chosen(infos).filename
        for info in infos:
            part = parts.read(info)
            new.writestr(info, edited(part, program, PICKLED) if info.filename == chosen else part)
    return made.getvalue()


class Encodings(Reader):
    """What a frozen encoder gave: a folder of arrays with its manifest."""

    name, first_check = "encoding", "the manifest is JSON that names arrays, and each begins as one does"
    tokens = (
        *b"<f4 >f8 |O |b1 <i8 (4,) True fortran_order descr } '".split(),
        *(b"(4, -1)", b"(2**62, 2)", b"__import__('os')", b"(" * 100, b"\x93NUMPY\x02\x00", b"\x93NUMPY"),
        *(b"PK\x03\x04",),
        *(b"\0", b"\n", b"[('a', '<i8')]"),
    )

    def __init__(self) -> None:
        self.files = _encoded()
        self.manifest = json.loads(self.files[MANIFEST])

    def make(self, program: Program) -> Files:
        """One file of them edited."""
        how, files = program.byte(), dict(self.files)
        name = program.chosen(sorted(files))
        if name == MANIFEST:
            tree = json.loads(self.files[MANIFEST])
            raw = how % 4 == 0
            files[name] = (
                edited(files[name], program, (b'"', b"{", b"[" * 3000, b"null", b"../"))
                if raw
                else as_json(edited_tree(tree, program))
            )
        else:
            files[name] = edited(
                files[name], program, self.tokens, [(0, 128), (6, 80)] if how % 2 else [(128, len(files[name]))]
            )
        return files

    def passes(self, files: Files) -> bool:
        """By Python's reader, and how .npy files begin."""
        try:
            arrays = json.loads(files[MANIFEST])["arrays"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return isinstance(arrays, dict) and all(
            text[:6] == b"\x93NUMPY" for name, text in files.items() if name != MANIFEST
        )

    def read(self, folder: Path, files: Files) -> None:
        """Opened, and a batch of all rows read."""
        arrays = open_arrays(folder)
        refuse_torn(folder, arrays, ROWS)
        encoded = StoredEncoding(arrays).of(ROWS, torch.ones(len(ROWS), dtype=torch.bool))
        assert len(encoded.pooled) == len(encoded.tokens) == len(ROWS)


def _encoded() -> Files:
    """Of four rows with one to three steps each, as they are written."""
    import tempfile

    rng = np.random.default_rng(0)
    lengths = np.array([1, 3, 2, 2])
    piece = {
        "rows": ROWS,
        "pooled": rng.standard_normal((4, 8)).astype(np.float32),
        "tokens": rng.standard_normal((lengths.sum(), 8)).astype(np.float32),
        "mask": np.ones(lengths.sum(), dtype=bool),
        "lengths": lengths,
        "stage0": rng.standard_normal((4, 6)).astype(np.float32),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pieces(folder, iter([piece]), lambda *_: None)
        arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
        facts = {key: [str(array.dtype), list(array.shape)] for key, array in arrays.items()}
        manifest = {
            "name": "digits-left",
            "fingerprint": fingerprint_of(arrays),
            "origin": None,
            "arrays": facts,
            "not_finite": {},
        }
        return {path.name: path.read_bytes() for path in folder.glob("*.npy")} | {MANIFEST: as_json(manifest)}
