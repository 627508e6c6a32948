"""Folders and names of text models that cannot be used: each refused in a line or two, and no code of theirs is run."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tiny_sentences import REASON, written

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.linear import Linear
from fusionbench.encoders.sentence_transformer import SentenceTransformer
from fusionbench.encoders.timm import Timm
from fusionbench.plan.load import load_suite

pytest.importorskip("sentence_transformers", reason=REASON)

SPEC = ModalitySpec("review", "text", (200,))
SUITE = """\
name: mine
datasets: [{{name: imdb, options: {{view: text_ngrams}}}}]
strategies: [concat]
encoders: {{text: {{name: sentence_transformer, options: {{weights: "{}"}}}}}}
seeds: 1
"""


def refused(told: str, spec: ModalitySpec = SPEC, **options: Any) -> str:
    with pytest.raises(UserError, match=told) as error:
        SentenceTransformer(spec, **options)
    assert str(error.value).count("\n") <= 1
    return str(error.value)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused("no file '.*nowhere'", weights=str(tmp_path / "nowhere"))
    refused("is no folder; name the one that holds config.json", weights=str(tmp_path / "file"))
    refused("holds no model that can be used", weights=str(tmp_path))


def test_a_folder_in_the_place_of_a_name_is_refused_since_its_content_would_not_count(tmp_path: Path) -> None:
    refused("name it by weights: FOLDER", model=str(written(tmp_path / "tiny")))


def test_a_model_that_cannot_be_had_is_told_with_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> str:
        raise OSError("Name or service not known\nmore of it")

    monkeypatch.setattr("fusionbench.encoders._sentence_models.snapshot_download", gone)
    told = refused("could not be had .Name or service not known.;", model="nobody/nothing")
    assert "same HF_HOME" in told
    assert "weights: FOLDER" in told


def test_a_name_that_is_none_is_refused() -> None:
    refused("could not be had", model="no name: at all//")


@pytest.mark.parametrize("name", ["sentence-transformers/tiny", "tiny"])
def test_a_model_in_the_hubs_cache_is_found_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cache, revision = tmp_path / "hub" / "models--sentence-transformers--tiny", "c0ffee" + "0" * 34
    written(cache / "snapshots" / revision)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    found, pinned = (SentenceTransformer(SPEC, model=name, revision=one) for one in ("", revision))
    one, other = found.frozen_trunk(), pinned.frozen_trunk()
    assert one is not None
    assert other is not None
    assert one.sha256() == other.sha256()


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    place = written(tmp_path / "tiny")
    whole = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused("holds no model that can be used, or a damaged one", weights=str(place))
    (place / "model.safetensors").write_bytes(whole)
    SentenceTransformer(SPEC, weights=str(place))  # Mended, it is read again.
    (place / "config.json").write_text("{")
    refused("holds no model that can be used, or a damaged one", weights=str(place))
    (place / "modules.json").write_text("[1]")
    refused("modules.json is damaged", weights=str(place))


def test_weights_that_lack_a_part_are_refused_and_named(tmp_path: Path) -> None:
    place = written(tmp_path / "tiny")
    tensors = load_file(place / "model.safetensors")
    name = next(name for name in tensors if "layer.1" in name)
    save_file(
        {key: value for key, value in tensors.items() if key != name}, place / "model.safetensors", {"format": "pt"}
    )
    assert name in refused("1 missing in the file", weights=str(place))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('it was run')",))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    place = written(tmp_path / "tiny")
    (place / "model.safetensors").unlink()
    (place / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    refused("holds no model that can be used", weights=str(place))


def test_a_class_that_is_not_the_librarys_is_not_imported(tmp_path: Path) -> None:
    place = written(tmp_path / "tiny")
    parts = json.loads((place / "modules.json").read_text())
    parts[0]["type"] = "mine.Network"
    (place / "modules.json").write_text(json.dumps(parts))
    refused("names the class 'mine.Network'; only those of the library are used", weights=str(place))


def test_a_model_whose_vector_and_tokens_differ_in_width_is_refused(tmp_path: Path) -> None:
    refused("gives tokens and vectors of", weights=str(written(tmp_path / "tiny", dense=7)))


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = written(tmp_path / "tiny")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    refused(r"pip install 'multimodal-fusionbench\[text\]'", weights=str(place))


def test_kinds_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    refused("reads text; 'x' is of kind image", ModalitySpec("x", "image", (3, 8, 8)))
    for other in (Timm, Linear):
        with pytest.raises(UserError, match="'review' is of kind text"):
            other(SPEC)


def test_loading_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = written(tmp_path / "tiny")
    capfd.readouterr()
    SentenceTransformer(SPEC, weights=str(place))
    assert capfd.readouterr() == ("", "")


def test_the_content_of_a_folder_is_in_a_runs_key_and_its_place_is_not(tmp_path: Path) -> None:
    def key(place: Path) -> str:
        file = tmp_path / "suite.yaml"
        file.write_text(SUITE.format(place))
        return next(load_suite(str(file)).runs()).key

    one, same, other = (written(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert key(one) == key(same) != key(other)
