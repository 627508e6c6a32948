"""What `compare` takes: arrays, tensors, lists and columns of pandas; and what it refuses, in a line each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fusionbench.api.inputs import given
from fusionbench.api.own_data import OwnData, understood
from fusionbench.core.errors import UserError
from fusionbench.data.array_files import GROUPS, NAMES, TARGETS, TEST

N = 40
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(N, 3))
PICTURES = RNG.integers(256, size=(N, 3, 8, 6), dtype=np.uint8)
STEPS = RNG.normal(size=(N, 5, 2))
LABELS = np.arange(N) % 4
WORDS = [f"sample {i} says so" for i in range(N)]


def own(inputs: Any = None, targets: Any = LABELS, **changes: Any) -> OwnData:
    options: dict[str, Any] = {"kind": None, "masks": {}, "kinds": {}, "groups": None, "test": None, **changes}
    return understood({"a": NUMBERS, "b": -NUMBERS} if inputs is None else inputs, targets, **options)


def one(value: Any, mask: Any = None, kind: str = "") -> tuple[str, dict[str, np.ndarray]]:
    """The kind of a modality, and its arrays."""
    masks = {"x": mask} if mask is not None else {}
    found = given({"x": value, "other": NUMBERS}, masks, {"x": kind} if kind else {})
    return found.columns["x"], {name: array for name, array in found.arrays.items() if name.startswith("x")}


VECTORS = {
    "numbers": NUMBERS,
    "a tensor": torch.tensor(NUMBERS),
    "a tensor that learns": torch.tensor(NUMBERS, requires_grad=True),
    "a list": NUMBERS.tolist(),
    "a list of arrays": list(NUMBERS),
    "a list of tensors": list(torch.tensor(NUMBERS)),
    "objects": np.array([list(row) for row in NUMBERS], dtype=object),
    "columns of pandas": pd.DataFrame(NUMBERS),
    "columns that may lack numbers": pd.DataFrame(NUMBERS).convert_dtypes(),
}


@pytest.mark.parametrize("way", VECTORS)
def test_vectors_come_in_every_form(way: str) -> None:
    kind, arrays = one(VECTORS[way])
    assert kind == "vector"
    np.testing.assert_array_equal(arrays["x"], NUMBERS)


def test_half_precision_single_numbers_and_sparse_matrices_are_vectors() -> None:
    from scipy.sparse import csr_array

    assert one(torch.tensor(NUMBERS).bfloat16())[1]["x"].dtype == np.float32
    for column in (NUMBERS[:, 0], pd.Series(NUMBERS[:, 0]), NUMBERS[:, 0].tolist(), NUMBERS[:, :1]):
        np.testing.assert_array_equal(one(column)[1]["x"], NUMBERS[:, :1])
    np.testing.assert_array_equal(one(csr_array(NUMBERS))[1]["x"], NUMBERS)
    assert one(NUMBERS > 0)[1]["x"].dtype == np.uint8


def test_pictures_come_in_either_order_of_channels() -> None:
    for value in (PICTURES, np.moveaxis(PICTURES, 1, 3), torch.tensor(PICTURES), list(PICTURES)):
        kind, arrays = one(value)
        assert kind == "image"
        np.testing.assert_array_equal(arrays["x"], PICTURES)
    kind, arrays = one(PICTURES[:, 0], kind="image")
    assert (kind, arrays["x"].shape) == ("image", (N, 1, 8, 6))
    with pytest.raises(UserError, match=r"'x' has the shape \(40, 3, 8, 3\): which axis is the channels\?"):
        one(PICTURES[..., :3])
    with pytest.raises(UserError, match="which axis is the channels"):
        one(np.zeros((N, 8, 8, 8)))


def test_sequences_come_padded_with_a_mask_or_as_lists_of_different_lengths() -> None:
    counts = 1 + np.arange(N) % 5
    mask = np.arange(5) < counts[:, None]
    padded = np.where(mask[..., None], STEPS, np.nan)  # What stands in the padding does not matter.
    rows = [row[:count] for row, count in zip(STEPS, counts, strict=True)]
    for value, given_mask in ((padded, mask), (torch.tensor(padded), torch.tensor(mask)), (rows, None)):
        kind, arrays = one(value, given_mask)
        assert kind == "sequence"
        np.testing.assert_array_equal(arrays["x"], np.concatenate(rows))
        assert arrays["x.offsets"].tolist() == np.cumsum([0, *counts]).tolist()
    assert one(STEPS)[1]["x.offsets"].tolist() == list(range(0, 5 * N + 1, 5))
    single = [row[:, 0].tolist() for row in rows]
    assert one(single)[1]["x"].shape == (counts.sum(), 1)
    assert one(pd.Series(single))[1]["x"].shape == (counts.sum(), 1)


def test_words_are_texts_as_lists_arrays_and_columns() -> None:
    for value in (WORDS, np.array(WORDS), pd.Series(WORDS), np.array(WORDS, dtype=object), tuple(WORDS)):
        kind, arrays = one(value)
        assert kind == "tokens"
        assert arrays["x"].tobytes().decode() == "".join(WORDS)
        assert arrays["x.offsets"][-1] == len("".join(WORDS))
    assert one(WORDS)[1]["x.vocabulary"].tolist() == [100 + len(set("".join(WORDS)))]
    kind, arrays = one(WORDS, kind="text")
    assert (kind, set(arrays)) == ("text", {"x", "x.offsets"})


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS, ["0", "1", "2", "3"]),
        (LABELS + 7, ["7", "8", "9", "10"]),
        (LABELS.astype(float), ["0", "1", "2", "3"]),
        (torch.tensor(LABELS), ["0", "1", "2", "3"]),
        ([f"class {label}" for label in LABELS], ["class 0", "class 1", "class 2", "class 3"]),
        (pd.Series(LABELS).map({0: "d", 1: "c", 2: "b", 3: "a"}), ["a", "b", "c", "d"]),
        (pd.Categorical([f"class {label}" for label in LABELS]), ["class 0", "class 1", "class 2", "class 3"]),
        (LABELS > 1, ["False", "True"]),
        (LABELS[:, None], ["0", "1", "2", "3"]),
    ],
)
def test_classes_are_numbers_or_words(labels: Any, names: list[str]) -> None:
    found = own(targets=labels)
    assert found.kind == "multiclass"
    assert found.arrays[NAMES].tolist() == names
    plain = [str(one) for one in (labels.reshape(-1).tolist() if hasattr(labels, "reshape") else labels)]
    assert [names[place] for place in found.arrays[TARGETS]] == [name.removesuffix(".0") for name in plain]


def test_a_matrix_of_zeros_and_ones_is_multilabel_unless_it_is_said_to_be_one_class_each() -> None:
    matrix = np.eye(4, dtype=int)[LABELS]
    found = own(targets=pd.DataFrame(matrix, columns=["a", "b", "c", "d"]))
    assert (found.kind, found.arrays[NAMES].tolist()) == ("multilabel", ["a", "b", "c", "d"])
    assert found.arrays[TARGETS].dtype == np.float32
    found = own(targets=matrix, kind="multiclass")
    assert found.arrays[TARGETS].tolist() == LABELS.tolist()


def test_other_numbers_are_to_be_predicted_and_whole_ones_where_it_is_said() -> None:
    for targets in (NUMBERS[:, 0], torch.tensor(NUMBERS), pd.DataFrame(NUMBERS, columns=["x", "y", "z"])):
        found = own(targets=targets)
        assert found.kind == "regression"
        assert found.arrays[TARGETS].dtype == np.float64
        np.testing.assert_array_equal(found.arrays[TARGETS], np.asarray(targets).reshape(N, -1))
    assert found.arrays[NAMES].tolist() == ["x", "y", "z"]
    assert found.about.endswith("3 numbers to predict; 40 rows, 8 of them for the test")
    assert own(targets=LABELS, kind="regression").arrays[TARGETS].shape == (N, 1)


def test_the_test_rows_are_a_fixed_fifth_or_those_that_are_given() -> None:
    drawn = own().arrays[TEST]
    assert np.bincount(LABELS[drawn]).tolist() == [2, 2, 2, 2]
    assert own({"a": NUMBERS + 1, "b": NUMBERS}).arrays[TEST].tolist() == drawn.tolist()
    assert own(test=0.5).arrays[TEST].sum() == 20
    mask = np.arange(N) >= 32
    for given_rows in (mask, torch.tensor(mask), list(range(32, N)), pd.Series(mask)):
        assert own(test=given_rows).arrays[TEST].tolist() == mask.tolist()


def test_groups_stay_together_in_the_test() -> None:
    people = [f"person {i // 4}" for i in range(N)]
    found = own(targets=np.arange(N) % 2, groups=people)
    test, groups = found.arrays[TEST], found.arrays[GROUPS]
    assert not set(groups[test]) & set(groups[~test])
    assert 4 <= test.sum() <= 12


def test_contents_decide_the_name_and_nothing_else_does() -> None:
    first = own()
    assert own().contents == first.contents
    assert own({"b": -NUMBERS, "a": NUMBERS}).contents == first.contents
    changed = NUMBERS.copy()
    changed[7, 1] = np.nextafter(changed[7, 1], 9)
    assert own({"a": changed, "b": -NUMBERS}).contents != first.contents
    assert own(test=list(range(8))).contents != first.contents
    assert own(groups=np.arange(N)).contents != first.contents
    assert own(targets=(LABELS + 1) % 4).contents != first.contents


def test_what_was_understood_is_told() -> None:
    told = own({"face": PICTURES, "words": WORDS, "sound": STEPS}, groups=np.arange(N)).about
    assert told == (
        "face: image (3, 8, 6); words: text as subwords, at most 119 of them; sound: sequence of 5 steps of 2; "
        "4 classes; 40 rows in 40 groups, 8 of them for the test"
    )


NAN = NUMBERS.copy()
NAN[17, 2] = np.nan
INFINITE = [row.copy() for row in STEPS]
INFINITE[5][1, 0] = np.inf
UNSEEN = np.where(np.arange(N) == 5, 9, LABELS)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no dict": (
        {"inputs": NUMBERS},
        "inputs: give a dict of modalities by name, such as {'image': x, 'text': y}, got nd",
    ),
    "a frame": ({"inputs": pd.DataFrame(NUMBERS)}, "inputs: give a dict of modalities by name"),
    "one modality": ({"inputs": {"a": NUMBERS}}, "inputs: 1 modalities; to be fused there must be at least 2"),
    "unequal": (
        {"inputs": {"a": NUMBERS, "b": NUMBERS[:-1]}},
        "arrays of unequal length: a 40, b 39, targets 40 rows; row i of each is sample i",
    ),
    "unequal targets": ({"targets": LABELS[:-1]}, "arrays of unequal length: a 40, b 40, targets 39 rows"),
    "NaN": (
        {"inputs": {"a": NUMBERS, "b": NAN}},
        "'b' of row 17 is NaN or infinite; put a number there, or leave the row",
    ),
    "infinite": ({"inputs": {"a": NUMBERS, "b": INFINITE}}, "'b' of row 5 is NaN or infinite"),
    "a number that lacks": (
        {"inputs": {"a": NUMBERS, "b": pd.Series([1, None] * 20, dtype="Int64")}},
        "'b' of row 1 is NaN or infinite",
    ),
    "one class": (
        {"targets": ["cat"] * N},
        "targets: all rows are of one class, 'cat'; there is nothing to tell apart",
    ),
    "an unseen class": (
        {"targets": UNSEEN, "test": range(10)},
        "test: row 5 is of class '9', which no row to train on is of",
    ),
    "an unseen label": (
        {"targets": np.eye(4, dtype=int)[np.where(np.arange(N) == 5, 3, LABELS % 3)], "test": list(range(10))},
        "test: row 5 is of class '3', which no row to train on is of",
    ),
    "an empty text": (
        {"inputs": {"a": NUMBERS, "b": [*WORDS[:-1], "  "]}},
        "'b' of row 39 is an empty text; leave the row",
    ),
    "a missing text": (
        {"inputs": {"a": NUMBERS, "b": [*WORDS[:-1], None]}},
        "'b' of row 39 is missing; leave the row out",
    ),
    "a number among texts": (
        {"inputs": {"a": NUMBERS, "b": np.array([*WORDS[:-1], 3], dtype=object)}},
        "'b' of row 39 is 3",
    ),
    "half a character": (
        {"inputs": {"a": NUMBERS, "b": [*WORDS[:-1], "x\ud800"]}},
        "'b' of row 39 holds .* half a charac",
    ),
    "no step": ({"inputs": {"a": NUMBERS, "b": [*STEPS[:-1], []]}}, "'b' of row 39 has no step; leave the row out"),
    "no real step": (
        {"inputs": {"a": NUMBERS, "b": STEPS}, "masks": {"b": np.arange(N)[:, None] != 7 + np.zeros((1, 5))}},
        "masks: row 7 of 'b' has no real step",
    ),
    "a mask of another shape": (
        {"inputs": {"a": NUMBERS, "b": STEPS}, "masks": {"b": np.ones((N, 4))}},
        r"masks: 'b' has the shape \(40, 4\), its values \(40, 5, 2\); give \(40, 5\)",
    ),
    "a mask of a vector": ({"masks": {"a": np.ones(N)}}, "masks: 'a' is no sequence"),
    "a mask of nothing": ({"masks": {"c": np.ones(N)}}, "masks: no modality 'c'. Known: a, b"),
    "steps of other widths": (
        {"inputs": {"a": NUMBERS, "b": [*STEPS[:-1], np.zeros((3, 4))]}},
        "'b': steps of row 0 have 2 numbers, those of row 39 4",
    ),
    "pictures of other sizes": (
        {"inputs": {"a": NUMBERS, "b": [*PICTURES[:-1], PICTURES[0, :, :4]]}},
        r"'b' of row 0 is uint8 \(3, 8, 6\); where rows differ in length give steps",
    ),
    "a masked array": ({"inputs": {"a": NUMBERS, "b": np.ma.masked_less(NUMBERS, 0)}}, "'b': a masked array"),
    "dates": ({"inputs": {"a": NUMBERS, "b": np.arange(N).astype("datetime64[D]")}}, "'b' is of type datetime64"),
    "a column of words": (
        {"inputs": {"a": NUMBERS, "b": pd.DataFrame({"x": NUMBERS[:, 0], "y": WORDS})}},
        "'b': column 'y' is of type .*, no number; give each column of words a modality of its own",
    ),
    "other indexes": (
        {"inputs": {"a": pd.Series(range(N)), "b": pd.Series(range(N), index=range(1, N + 1))}},
        "'a' and 'b' have different indexes; give both the same rows in the same order",
    ),
    "nothing": (
        {"inputs": {"a": NUMBERS, "b": np.zeros((N, 0))}},
        r"'b' has the shape \(40, 0\): there is nothing in it",
    ),
    "five axes": (
        {"inputs": {"a": NUMBERS, "b": np.zeros((N, 2, 2, 2, 2))}},
        r"'b' has the shape .*; kinds=|no modality has",
    ),
    "a kind that is none": ({"kinds": {"a": "picture"}}, "kinds: no kind of modality 'a' called 'picture'"),
    "a kind that cannot be": ({"kinds": {"a": "image"}}, r"'a' has the shape \(40, 3\): no image has that"),
    "a name with a dot": ({"inputs": {"a.b": NUMBERS, "c": NUMBERS}}, "a modality cannot be named 'a.b'"),
    "one row": ({"inputs": {"a": NUMBERS[:1], "b": NUMBERS[:1]}, "targets": [1]}, "targets: all rows are of one class"),
    "few rows": (
        {"inputs": {"a": NUMBERS[:3], "b": NUMBERS[:3]}, "targets": [0, 1, 0]},
        "3 rows; training, validation and test need at least 10 together",
    ),
    "10 million classes": (
        {"targets": np.arange(10_000_000, dtype=np.int32)},
        "targets: 10,000,000 classes; at most 100,000. Are these numbers of rows",
    ),
    "a class a row": ({"targets": np.arange(N)}, "targets: 40 classes in 40 rows; too few rows of each"),
    "a missing label": ({"targets": [None, *LABELS[1:]]}, "targets: row 0 has no label; leave it out"),
    "a label that is NaN": ({"targets": np.where(LABELS == 3, np.nan, LABELS)}, "targets: row 3 has no label"),
    "words and numbers": ({"targets": ["a", *LABELS[1:]]}, "targets: some labels are words and some numbers"),
    "a matrix of others": (
        {"targets": np.eye(4)[LABELS] * 2, "kind": "multilabel"},
        "targets: row 0 holds other values than 0 and 1",
    ),
    "half a class": ({"targets": LABELS + 0.5, "kind": "multiclass"}, r"targets: 0\.5 is no class; whole numbers are"),
    "one number": ({"targets": np.full(N, 2.5)}, r"targets: number 0 is 2\.5 in all rows; there is nothing to learn"),
    "a number that is none": ({"targets": np.c_[NAN[:, 2], LABELS]}, "targets: row 17 is NaN or infinite"),
    "words as numbers": ({"targets": WORDS, "kind": "regression"}, "targets: words are no numbers to predict"),
    "pictures as targets": (
        {"targets": PICTURES},
        r"targets are uint8 \(40, 3, 8, 6\); give \(n,\), a class or a number",
    ),
    "a matrix of one": ({"targets": np.ones((N, 4))}, "targets: no class is true of some rows and false of others"),
    "two classes a row": ({"targets": np.ones((N, 4)), "kind": "multiclass"}, "targets: row 0 has 4 classes"),
    "a task that is none": ({"kind": "multi"}, "kind: no kind of task called 'multi'; did you mean 'multi"),
    "a test row that is not there": ({"test": [3, 40]}, "test: row 40; rows are 0 to 39"),
    "all for the test": (
        {"test": list(range(N))},
        "test: 40 of 40 rows; some have to be for the test, others to train",
    ),
    "no fraction": ({"test": 1.5}, "test: 1.5 is no fraction between 0 and 1"),
    "a test of words": ({"test": WORDS}, r"test: give bool \(40,\), the numbers of rows, or a fraction"),
    "a group in both": (
        {"groups": np.arange(N) // 4, "test": list(range(10))},
        "test: the group of row 8 has rows outside",
    ),
    "two groups": ({"groups": np.arange(N) % 2}, "groups: 2 of them; training, validation and test need one each"),
    "fewer groups": ({"groups": np.arange(9)}, "groups: 9 of them for 40 rows; give one for each row"),
    "a row without group": ({"groups": [None, *range(1, N)]}, "groups: row 0 has none"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_no_model_can_be_trained_on_is_one_line(what: str) -> None:
    changes, told = BAD[what]
    with pytest.raises(UserError, match=told) as error:
        own(changes.pop("inputs", None), changes.pop("targets", LABELS), **changes)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250
