"""Raw text through a frozen model of others: the map behind it learns, and what is stored of it is what is live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sentences import REASON, as_bytes, written

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows, Split
from fusionbench.data.store import open_arrays, prepared
from fusionbench.fusion.base import Optimiser, Setting
from fusionbench.fusion.cross_attention import CrossAttentionFusion
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.training.encodings import EncodedData, StoredEncoding, rows_of, write_encoding
from fusionbench.training.fit import evaluate, fit
from fusionbench.training.pretrain import pretrain

pytest.importorskip("sentence_transformers", reason=REASON)
pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # As they should be.

COUNT, WIDTH = 400, 8
FILLER = ("a", "the", "film", "was", "not", ".")


class Reviews(MultimodalData):
    """Some words, among them one that tells the class, in two of three reviews; a number that tells it too, often."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, batch_size=32)
        rng = np.random.default_rng(0)
        label = rng.permutation(COUNT) % 2
        said = np.where(rng.random(COUNT) < 2 / 3, np.array(["bad", "good"])[label], "film")
        words = [[*rng.choice(FILLER, rng.integers(0, 6)), word] for word in said]
        self.x, self.mask = as_bytes(*(" ".join(rng.permutation(one)) for one in words))
        self.number = torch.from_numpy(2.0 * label - 1 + rng.normal(0, 1.5, COUNT)).float()[:, None]
        self.tensors["targets"] = torch.from_numpy(label)
        self.here = torch.from_numpy(rng.random(COUNT) < 0.9)
        self.parts = Split(*np.split(np.arange(COUNT), [240, 300]))

    @property
    def task(self) -> TaskSpec:
        specs = ModalitySpec("review", "text", (self.x.shape[1],)), ModalitySpec("number", "vector", (1,))
        return TaskSpec(specs, classes=2)

    def prepare_data(self) -> None:
        """In memory."""

    def batch(self, rows: Rows) -> MultimodalBatch:
        index, every = torch.from_numpy(rows), torch.ones(len(rows), dtype=torch.bool)
        inputs = {"review": self.x[index], "number": self.number[index]}
        present = {"review": self.here[index], "number": every}
        return MultimodalBatch(inputs, {"review": self.mask[index]}, present, self.tensors["targets"][index], index)


def test_a_map_that_is_pretrained_reads_the_word_and_stored_it_gives_the_logits_of_live(tmp_path: Path) -> None:
    data, options = Reviews(tmp_path), {"width": WIDTH, "weights": str(written(tmp_path / "tiny")), "steps": 3}
    budget = Pretraining(epochs=15, batch_size=32, learning_rate=1e-2)
    review = Choice("sentence_transformer", options, pretrain=budget)
    found = pretrain(review, "review", data, 0, lambda *_: None)
    assert found.scores["validation/accuracy"] > 0.7  # Of what can be known of the review alone, about .8.

    encoders = {"review": review, "number": Choice("mlp", {"width": WIDTH}, pretrain=budget)}
    setting = Setting(data.task, encoders, WIDTH, WIDTH, 0.0, Optimiser(1e-2, 0.0), 0)
    module = CrossAttentionFusion(setting, heads=2)
    module.encoders["review"].load_state_dict(found.weights)
    stored = EncodedData(data, {name: encoded(module, name, data) for name in data.task.names})
    rows = np.random.default_rng(0).permutation(COUNT)
    module.eval()
    with torch.no_grad():
        live, kept = (module.predict(one.batch(rows)).logits for one in (data, stored))
    torch.testing.assert_close(kept, live, rtol=0, atol=1e-5)

    fit(module, stored, Budget(epochs=5, batch_size=32, learning_rate=1e-2), lambda *_: None)
    score = evaluate(module, stored, Budget()).scores["test/accuracy"]
    assert score == pytest.approx(evaluate(module, data, Budget()).scores["test/accuracy"], abs=0.011)
    assert score > 0.75


def encoded(module: CrossAttentionFusion, name: str, data: MultimodalData) -> StoredEncoding:
    def convert(place: Path) -> None:
        write_encoding(place, module.encoders[name], name, data, rows_of(data), lambda *_: None)

    return StoredEncoding(open_arrays(prepared(data.root, name, {}, None, convert, "encodings")))
