"""Mistakes in a suite file: each is one line that says what, where and the way out."""

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, with_settings
from fusionbench.plan.suite import Suite

BASE = "name: x\ndatasets: [digits]\nstrategies: [concat]\n"


def suite(text: str = BASE, *settings: str) -> Suite:
    return suite_of(with_settings(parse_source(text, "my.yaml"), list(settings)))


MISTAKES = [
    (
        "name: x\ndatasets: [digits]\nstrategies:\n  - concat\n  - gatd",
        r"^my.yaml, line 5: strategies.1: no strategy 'gatd'; did you mean 'gated'\? Known: .*concat, ",
    ),
    (
        "name: x\ndatasets: [digit]\nstrategies: [concat]",
        r"line 2: datasets.0: no dataset 'digit'; did you mean 'digits'",
    ),
    (
        BASE + "encoders:\n  image: smal_cnn",
        r"line 5: encoders.image: no encoder 'smal_cnn'; did you mean 'small_cnn'\? Known: bag, linear, .*small_cnn",
    ),
    (BASE + "measures: [siz]", r"line 4: measures.0: no measure 'siz'; did you mean 'size'"),
    (BASE + "tracks: [same_encoder]", r"line 4: tracks.0: no track 'same_encoder'; did you mean 'same_encoders'"),
    (BASE + "tracks: [{name: same_encoders, options: {a: 1}}]", r"no option of track 'same_encoders' called 'a'"),
    (BASE + "tracks: [same_encoders, same_encoders]", r"line 4: tracks.1: 'same_encoders' is named twice"),
    (
        BASE + "encoders:\n  image:\n    name: small_cnn\n    options:\n      width: 64\n      widht: 3",
        r"^my.yaml, line 9: encoders.image.options.widht: no option of encoder 'small_cnn' called 'widht'; "
        r"did you mean 'width'\? Known: channels, groups, width$",
    ),
    (
        BASE + "encoders: {image: {name: small_cnn, options: {channels: [1, a]}}}",
        r"encoders.image.options.channels.1: encoder 'small_cnn': give a whole number, got 'a'",
    ),
    (
        "name: x\ndatasets: [{name: synthetic_pid, options: {relation: sinergy}}]\nstrategies: [concat]",
        r"line 2: datasets.0.options.relation: dataset 'synthetic_pid': give 'redundant', 'unique_a', 'unique_b', "
        r"'synergy' or 'mixture', got 'sinergy'; did you mean 'synergy'\?",
    ),
    (BASE + "strategeis: []", r"line 4: strategeis: no key 'strategeis'; did you mean 'strategies'\? Known: budget, "),
    (
        BASE + "budget:\n  epoch: 3",
        r"line 5: budget.epoch: no key 'epoch'; did you mean 'epochs'\? Known: batch_size, ",
    ),
    (
        "name: x\ndatasets: [{name: digits, optons: {}}]\nstrategies: [concat]",
        r"line 2: datasets.0.optons: no key 'optons'; did you mean 'options'\? Known: metric, name, options",
    ),
    ("name: x\ndatasets: [{options: {}}]\nstrategies: [concat]", r"line 2: datasets.0.name: is missing"),
    ("name: x\ndatasets: [digits]", r"^my.yaml, line 1: strategies: is missing$"),
    ("name: x\ndatasets: []\nstrategies: [concat]", r"line 2: datasets: give at least one, got \[\]"),
    ("name: x\ndatasets:\nstrategies: [concat]", r"line 2: datasets: give a list, got nothing"),
    ("name: x\ndatasets: digits\nstrategies: [concat]", r"line 2: datasets: give a list, got 'digits'"),
    (
        "name: x\ndatasets: [3]\nstrategies: [concat]",
        r"line 2: datasets.0: give a name, or a mapping with name and option",
    ),
    ("name: 3\ndatasets: [digits]\nstrategies: [concat]", r"line 1: name: give a word, got 3"),
    (BASE + "encoders: small_cnn", r"line 4: encoders: give a mapping, got 'small_cnn'"),
    (BASE + "budget: 3", r"line 4: budget: give a mapping such as {epochs: 20}, got 3"),
    (BASE + "budget: {epochs: many}", r"line 4: budget.epochs: give a whole number, got 'many'"),
    (BASE + "budget: {epochs: 1.0}", r"budget.epochs: give a whole number, got 1.0"),
    (BASE + "budget: {epochs: true}", r"budget.epochs: give a whole number, got True"),
    (BASE + "budget: {learning_rate: '0.1'}", r"budget.learning_rate: give a number, got '0.1'"),
    (BASE + "budget: {epochs: 0}", r"budget.epochs: should be greater than or equal to 1, got 0"),
    (BASE + "budget: {batch_size: -3}", r"budget.batch_size: should be greater than or equal to 1"),
    (BASE + "budget: {learning_rate: 0}", r"budget.learning_rate: should be greater than 0"),
    (BASE + "budget: {weight_decay: -1e-9}", r"budget.weight_decay: should be greater than or equal to 0"),
    (BASE + "budget: {dropout: 1}", r"budget.dropout: should be less than 1"),
    (BASE + "budget: {optimiser: adam}", r"give 'adamw' or 'sgd', got 'adam'; did you mean 'adamw'"),
    (BASE + "budget: {optimiser: sgd, momentum: 1}", r"budget.momentum: should be less than 1"),
    (BASE + "budget: {momentum: 0.9}", r"line 4: budget.momentum: adamw has none; say optimiser: sgd too"),
    (
        BASE
        + "budget: {optimiser: sgd, momentum: 0.9}\nencoders: {image: {name: small_cnn, pretrain: {optimiser: adamw}}}",
        r"encoders.image.pretrain.momentum: adamw has none",
    ),
    (BASE + "budget: {patience: -1}", r"budget.patience: should be greater than or equal to 0"),
    (BASE + "budget: {learning_rate: .nan}", r"budget.learning_rate: give a finite number"),
    (BASE + 'compare_with: ["a\\0b.yaml"]', r"line 4: compare_with.0: 'a\\x00b.yaml' is no path of a file"),
    (BASE + "budget: {time_limit: soon}", r"line 4: budget.time_limit: give a duration such as 90s, 10m, 1.5h"),
    (BASE + "budget: {time_limit: -1}", r"line 4: budget.time_limit: should be greater than or equal to 0"),
    (BASE + "budget: {time_limit: [1]}", r"line 4: budget.time_limit: give a number"),
    (
        BASE + "encoders: {image: {name: small_cnn, pretrain: {time_limit: 5}}}",
        r"encoders.image.pretrain.time_limit: no key 'time_limit'",
    ),
    (BASE + "budget: {precision: bf16}", r"give '32-true' or 'bf16-mixed', got 'bf16'; did you mean 'bf16-mixed'"),
    (
        "name: x\ndatasets: [digits]\nstrategies: [../../concat]",
        r"line 3: strategies.0: '../../concat' is no name; give a shipped one, package.module, ",
    ),
    ("name: x\ndatasets: [/etc/passwd]\nstrategies: [concat]", r"datasets.0: '/etc/passwd' is no name"),
    ('name: x\ndatasets: [digits]\nstrategies: ["concat\\n"]', r"strategies.0: 'concat\\n' is no name"),
    ("name: x\ndatasets: [digits]\nstrategies: [no.such]", r"strategies.0: strategy 'no.such': no such Python module"),
    ("name: ../x\ndatasets: [digits]\nstrategies: [concat]", r"line 1: name: a suite's name is .* no path, got '../x'"),
    (f"name: {'x' * 65}\ndatasets: [digits]\nstrategies: [concat]", r"name: a suite's name is up to 64"),
    (
        "name: x\ndatasets: [digits]\nstrategies: [concat, concat]",
        r"strategies.1: 'concat' is named twice with the same",
    ),
    ("name: x\ndatasets: [digits, digits]\nstrategies: [concat]", r"datasets.1: 'digits' is named twice"),
    (
        "name: x\ndatasets: [digits]\nstrategies: [unimodal, {name: unimodal, options: {modality: left}}]",
        r"strategies.1: 'unimodal' is named twice with the same options",
    ),
    (
        "name: x\ndatasets: [digits]\nstrategies: [{name: unimodal, options: {modality: lft}}]",
        r"strategies.0: no modality 'lft'; did you mean 'left'\? Known: left, right",
    ),
    (
        BASE + "encoders: {imag: small_cnn}",
        r"encoders.imag: no modality or kind in these datasets called 'imag'; did you",
    ),
    (
        "name: x\ndatasets: [{name: digits, metric: f1}]\nstrategies: [concat]",
        "line 2: datasets.0.metric: no score of a multiclass task, as that of 'digits', called 'f1'. Known: accuracy",
    ),
    (
        "name: x\ndatasets: [digits, {name: diabetes, metric: accuracy}]\nstrategies: [concat]",
        "line 2: datasets.1.metric: no score of a regression task, as that of 'diabetes', called 'accuracy'",
    ),
    (
        "name: x\ndatasets: [digits, {name: digits, metric: accuracy}]\nstrategies: [concat]",
        "line 2: datasets.1: 'digits' is named twice with the same options",
    ),
    (
        BASE + "encoders: {image: linear}",
        r"encoders.image: encoder 'linear' reads vector or sequence; 'left' of digits is",
    ),
    (
        BASE + "encoders: {left: {name: mlp, options: {width: 12}}}",
        r"line 4: encoders: the encoders of digits must share one width; got left: mlp width 12, right: ",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_the_way_out(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        suite(text)
    assert str(caught.value).startswith("my.yaml, line ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "seeds",
    [
        "0",
        "-1",
        "10001",
        "true",
        "1.5",
        "'3'",
        "~",
        "[]",
        "[1, 1]",
        "[-1]",
        "[true]",
        "[1.0]",
        "[a]",
        "{a: 1}",
        "[[0]]",
    ],
)
def test_seeds_are_a_count_or_different_whole_numbers(seeds: str) -> None:
    with pytest.raises(
        UserError, match=r"^my.yaml, line 4: seeds: give a count from 1 to 10000, or a list of different"
    ):
        suite(BASE + f"seeds: {seeds}")


def test_many_mistakes_are_two_lines_and_a_count() -> None:
    with pytest.raises(UserError) as caught:
        suite(BASE + "a: 1\nb: 2\nc: 3\nbudget: {epochs: x}")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("(and 2 more)")


def test_a_mistake_in_a_setting_names_the_setting() -> None:
    with pytest.raises(UserError, match=r"^--set budget.epochs=x: budget.epochs: give a whole number, got 'x'$"):
        suite(BASE, "budget.epochs=x")
