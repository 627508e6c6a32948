"""Text models of others: what the library itself gives, whatever stands around a text, and which text is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_sentences import FEATURES, OWN_LENGTH, PLACES, REASON, as_bytes, written
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.sentence_transformer import AT_ONCE, SentenceTransformer
from fusionbench.fusion.base import Optimiser, Setting
from fusionbench.fusion.bottleneck import BottleneckFusion
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.measure.size import count_flops
from fusionbench.plan.suite import Choice

library = pytest.importorskip("sentence_transformers", reason=REASON)

SPEC = ModalitySpec("review", "text", (200,))
WIDTH = 5
TEXTS = ("a good film.", "", "the film was not good. the film was badly bad. a good", "bad", "Über 映画")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "tiny")


def built(folder: Path, **options: Any) -> SentenceTransformer:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"width": WIDTH, "weights": str(folder)} | options
    return SentenceTransformer(SPEC, **chosen)


def encoded(encoder: SentenceTransformer, *texts: str) -> Encoded:
    x, mask = as_bytes(*texts)
    with torch.no_grad():
        return encoder(x, mask, torch.ones(len(x), dtype=torch.bool))


def normed(x: Tensor) -> Tensor:
    return x / x.square().mean(-1, keepdim=True).sqrt()


@pytest.mark.parametrize(("pooling", "normalise"), [("mean", True), ("cls", False), ("max", True)])
def test_the_vector_and_the_tokens_are_the_librarys_own(tmp_path: Path, pooling: str, normalise: bool) -> None:
    place = written(tmp_path / "tiny", pooling, normalise)
    encoder, own = built(place), library.SentenceTransformer(str(place), device="cpu")
    vectors = own.encode(list(TEXTS), convert_to_tensor=True)
    tokens = own.encode(list(TEXTS), output_value="token_embeddings")
    x, mask = as_bytes(*TEXTS)
    found = encoder.trunk_features(x, mask, torch.ones(len(x), dtype=torch.bool))
    assert found.mask is not None
    torch.testing.assert_close(found.map[:, 0], vectors.clone())
    for row, one in enumerate(tokens):
        torch.testing.assert_close(found.map[row, 1:][found.mask[row, 1:]], one.clone())
    one = encoded(encoder, *TEXTS)
    weight, bias = encoder.project.weight.detach(), encoder.project.bias.detach()
    torch.testing.assert_close(one.pooled, normed(vectors.clone()) @ weight.T + bias)
    torch.testing.assert_close(one.tokens[2][one.mask[2]], normed(tokens[2].clone()) @ weight.T + bias)
    assert not one.tokens[~one.mask].any()


def test_a_text_is_encoded_the_same_in_any_company(folder: Path) -> None:
    encoder = built(folder).train()
    many = [TEXTS[number % len(TEXTS)] + " not" * (number % 4) for number in range(3 * AT_ONCE + 2)]
    whole = encoded(encoder, *many)
    for row, text in enumerate(many):
        alone = encoded(encoder, text)
        torch.testing.assert_close(whole.pooled[row], alone.pooled[0])
        torch.testing.assert_close(whole.tokens[row][whole.mask[row]], alone.tokens[0])


def test_what_stands_in_the_padding_is_not_read(folder: Path) -> None:
    encoder = built(folder)
    x, mask = as_bytes(*TEXTS)
    here = torch.ones(len(x), dtype=torch.bool)
    expected, garbage = encoder(x, mask, here), x.masked_fill(~mask, 98)
    torch.testing.assert_close(encoder(garbage, mask, here).pooled, expected.pooled)
    torch.testing.assert_close(encoder(x, None, here).pooled, expected.pooled)  # A zero is no letter.


def test_bytes_that_are_no_text_are_read_as_an_unknown_sign(folder: Path) -> None:
    x = torch.tensor([[0xFF, 0xFE, 0x80]], dtype=torch.uint8)
    assert built(folder)(x, None, torch.ones(1, dtype=torch.bool)).pooled.isfinite().all()


def test_steps_are_means_of_neighbouring_tokens(folder: Path) -> None:
    whole, fewer = encoded(built(folder), *TEXTS), encoded(built(folder, steps=4), *TEXTS)
    assert fewer.tokens.shape == (len(TEXTS), 4, WIDTH)
    assert fewer.mask.sum(1).tolist() == [min(4, int(count)) for count in whole.mask.sum(1)]
    torch.testing.assert_close(fewer.pooled, whole.pooled)
    features = built(folder).trunk_features(*as_bytes(TEXTS[2]), torch.ones(1, dtype=torch.bool)).map[0, 1:]
    means = torch.stack([part.mean(0) for part in (features[:3], features[3:5], features[5:8], features[8:])])
    torch.testing.assert_close(fewer.tokens[2], built(folder).project(normed(means)).detach())


@pytest.mark.parametrize(("keep", "length"), [("first", 0), ("last", 0), ("first", 5), ("last", PLACES)])
def test_of_a_long_text_the_first_tokens_are_read_or_the_last(folder: Path, keep: str, length: int) -> None:
    encoder = built(folder, keep=keep, max_length=length)
    words, room = TEXTS[2].replace(".", " .").replace("badly", "bad").split(), (length or OWN_LENGTH) - 2
    kept = words[:room] if keep == "first" else words[-room:]
    long, short = encoded(encoder, " ".join(words)), encoded(encoder, " ".join(kept))
    assert long.mask.sum() == min(room, len(words)) + 2
    torch.testing.assert_close(long.pooled, short.pooled)


@pytest.mark.parametrize("length", [2, -1, PLACES + 1])
def test_a_length_that_no_text_can_have_is_refused(folder: Path, length: int) -> None:
    with pytest.raises(UserError, match=f"max_length is {length}; .* or 0 for the model's own {OWN_LENGTH}"):
        built(folder, max_length=length)


def test_frozen_the_linear_map_alone_learns_and_the_network_stays_in_eval_mode(folder: Path) -> None:
    encoder = built(folder).train()
    assert not encoder.network.training
    encoder(*as_bytes(*TEXTS), torch.ones(len(TEXTS), dtype=torch.bool)).pooled.sum().backward()
    moved = {name.partition(".")[0] for name, value in encoder.named_parameters() if value.grad is not None}
    assert moved == {"project"}


def test_not_frozen_every_weight_learns(folder: Path) -> None:
    encoder = built(folder, frozen=False).train()
    assert encoder.network.training
    assert encoder.frozen_trunk() is None
    one = encoder(*as_bytes(*TEXTS), torch.ones(len(TEXTS), dtype=torch.bool))
    (one.pooled.sum() + one.tokens.square().sum()).backward()
    assert [name for name, value in encoder.named_parameters() if value.grad is None] == []


def test_flops_of_a_text_are_those_of_its_tokens(folder: Path) -> None:
    encoder, (x, mask), layers, inner = built(folder), as_bytes(TEXTS[0]), 2, 20
    count = count_flops(lambda: encoder(x, mask, torch.ones(1, dtype=torch.bool)))
    t, f = 6, FEATURES  # Four words between the signs that begin and end a text.
    one = 4 * 2 * t * f * f + 2 * 2 * t * t * f + 2 * 2 * t * f * inner
    assert count == layers * one + 2 * (1 + t) * f * WIDTH


def test_what_the_trunk_gives_is_all_that_the_map_reads(folder: Path) -> None:
    encoder, (x, mask), here = built(folder, steps=3), as_bytes(*TEXTS), torch.ones(len(TEXTS), dtype=torch.bool)
    found, live = encoder.trunk_features(x, mask, here), encoder(x, mask, here)
    assert found.kept is None
    assert torch.equal(encoder.finish(found).tokens, live.tokens)
    assert torch.equal(encoder.finish(found).pooled, live.pooled)
    assert live.stages[0].shape == (len(TEXTS), 1 + 3, FEATURES)


def test_a_trunk_is_named_by_its_content_and_by_what_is_read(folder: Path, tmp_path: Path) -> None:
    def name(place: Path, **options: Any) -> str:
        trunk = built(place, **options).frozen_trunk()
        assert trunk is not None
        assert trunk.reads_data_alone
        return trunk.sha256()

    shutil.copytree(folder, tmp_path / "moved")
    plain, used = name(folder), built(folder)
    encoded(used, *TEXTS)
    after = used.frozen_trunk()
    assert after is not None
    assert plain == name(tmp_path / "moved") == name(folder, width=7) == after.sha256()
    others = [name(folder, **one) for one in ({"steps": 3}, {"max_length": 7}, {"keep": "last"})]
    others += [name(written(tmp_path / "a", seed=1)), name(written(tmp_path / "b", "cls")), plain]
    assert len(set(others)) == len(others)


def test_an_absent_review_leaks_nothing_into_a_fusion_and_tokens_have_places_in_it(folder: Path) -> None:
    task = TaskSpec((SPEC, ModalitySpec("x", "vector", (4,))), classes=2)
    encoders = {
        "review": Choice("sentence_transformer", {"width": 8, "weights": str(folder)}),
        "x": Choice("mlp", {"width": 8}),
    }
    setting = Setting(task, encoders, 8, 8, 0.0, Optimiser(1e-2, 0.0), 0)
    for module in (ConcatFusion(setting), BottleneckFusion(setting, heads=2)):
        module.eval()
        x, mask = as_bytes(*TEXTS)
        present = {"review": torch.tensor([True, True, False, True, False]), "x": torch.ones(5, dtype=torch.bool)}
        inputs = {"review": x, "x": torch.randn(5, 4, generator=torch.Generator().manual_seed(0))}
        batch = MultimodalBatch(inputs, {"review": mask}, present, torch.zeros(5).long(), torch.arange(5))
        with torch.no_grad():
            before = module.predict(batch).logits
            batch.inputs["review"] = x.masked_fill(~present["review"][:, None], 97)
            after = module.predict(batch).logits
        assert torch.equal(before, after)
        assert before.isfinite().all()
