"""The JSON Schema of suite files, held against a validator of others, the shipped suites and the loader itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fusionbench.cli.main import main
from fusionbench.core.catalogue import names
from fusionbench.core.errors import UserError
from fusionbench.plan.json_schema import LINE, schema_text, suite_schema
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, shipped_suites

ROOT = Path(__file__).parents[2]
SUITE = "name: x\ndatasets: [digits]\nstrategies: [concat]\n"
RIGHT = (
    "seeds: [3, 5]",
    "seeds: 2\ntracks: [same_encoders, {name: matched_parameters, options: {target: 5000}, seeds: 1}]",
    "tracks: [{name: tuned, options: {trials: 4, dropout: [0, 0.5]}}]",
    "encoders: {image: {name: small_cnn, options: {width: 32}, pretrain: true}}",
    "encoders: {left: {name: small_cnn, pretrain: {epochs: 3, rows: all}}, right: small_cnn}",
    "measures: [size, {name: latency, options: {seconds: 2}}]",
    "budget: {epochs: 3, learning_rate: 1e-3, precision: bf16-mixed}",
    "budget: {time_limit: 90}",
    "budget: {time_limit: 1h30m}\nencoders: {image: {name: small_cnn, pretrain: true}}",
    "families: [{name: two, rows: [concat, late]}]\nstrategies: all",
    "datasets: [{name: digits, title: Handwritten digits, metric: nll}, wdbc]",
    "strategies: [unimodal, {name: low_rank, options: {rank: 8}}]",
)
WRONG = {
    "seeds: 0": "/seeds",
    "seeds: [1, 1]": "/seeds",
    "seeds: true": "/seeds",
    "name: Not A Name": "/name",
    "datasets: []": "/datasets",
    "datasets: [digit]": "/datasets/0",
    "datasets: [{name: digits, options: {view: whole}}]": "/datasets/0",
    "datasets: [{name: digits, metric: precision}]": "/datasets/0",
    "strategies: [gatd]": "/strategies",
    "strategies: every": "/strategies",
    "strategies: [{name: low_rank, options: {rnk: 8}}]": "/strategies",
    "strategies: [{name: low_rank, options: {rank: many}}]": "/strategies",
    "strategies: [{options: {rank: 8}}]": "/strategies",
    "budget: {epochs: 0}": "/budget/epochs",
    "budget: {dropout: 1}": "/budget/dropout",
    "budget: {time_limit: -1}": "/budget/time_limit",
    "budget: {time_limit: soon}": "/budget/time_limit",
    "budget: {epoch: 3}": "/budget",
    "budget: {precision: fp16}": "/budget/precision",
    "encoders: {image: {name: small_cnn, pretrain: {rows: most}}}": "/encoders/image",
    "tracks: [{name: tuned, options: {trials: 1}}]": "/tracks/0",
    "tracks: [equal]": "/tracks/0",
    "measures: [speed]": "/measures/0",
    "families: [{name: one, rows: [concat]}]": "/families/0/rows",
    "epochs: 3": "",
}


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema_rs.Draft202012Validator(suite_schema())


def tree(more: str) -> dict[str, Any]:
    """A small suite with some fields set otherwise."""
    return {**parse_source(SUITE, "x.yaml").tree, **parse_source(more, "more.yaml").tree}


def loads(more: str) -> bool:
    fields = [line for line in SUITE.splitlines() if not re.search(rf"(?m)^{line.split(':')[0]}:", more)]
    try:
        suite_of(parse_source("\n".join([*fields, more]), "x.yaml"))
    except UserError:
        return False
    return True


def test_it_is_a_schema_by_the_draft_that_it_names() -> None:
    found = suite_schema()
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(found)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == suite_schema()


def test_the_file_beside_the_shipped_suites_is_up_to_date() -> None:
    beside = ROOT / "experiments" / "suite.schema.json"
    assert beside.read_text(encoding="utf-8") == schema_text(), "run: python docs/readme.py"


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_fits_and_tells_editors_where_it_is(validator: Any, name: str) -> None:
    path = shipped_suites()[name]
    text = path.read_text(encoding="utf-8")
    validator.validate(parse_source(text, path.name).tree)
    assert text.splitlines()[0] == LINE
    assert (path.parent / LINE.partition("$schema=")[2]).is_file()


@pytest.mark.parametrize("more", RIGHT)
def test_what_loads_fits(validator: Any, more: str) -> None:
    assert loads(more)
    validator.validate(tree(more))


@pytest.mark.parametrize(("more", "place"), WRONG.items())
def test_what_does_not_load_does_not_fit_and_the_place_is_told(validator: Any, more: str, place: str) -> None:
    assert not loads(more)
    places = ["".join(f"/{part}" for part in error.instance_path) for error in validator.iter_errors(tree(more))]
    assert any(found.startswith(place) for found in places)


def test_a_name_of_the_users_own_fits(validator: Any) -> None:
    own = {"name": "mine.gate", "options": {"anything": 1}}
    validator.validate(tree("datasets: [mine.pairs]") | {"strategies": ["mine.net", own, "mine.module:Net", "a/b.py"]})


@pytest.mark.parametrize("kind", ["dataset", "strategy", "encoder", "measure"])
def test_it_knows_every_plug_in_and_what_it_does(kind: Any) -> None:
    part = suite_schema()["$defs"][f"File{kind.title()}"]
    assert part["properties"]["name"]["anyOf"][0]["enum"] == list(names(kind))
    assert [one["if"]["properties"]["name"]["const"] for one in part["allOf"]] == list(names(kind))
    assert all(one["then"]["properties"]["options"]["description"] for one in part["allOf"])


def test_every_field_says_what_it_means() -> None:
    found = suite_schema()
    parts = {"the suite": found, **found["$defs"]}
    parts |= {
        one["if"]["properties"]["name"]["const"]: one["then"]["properties"]["options"]
        for one in found["$defs"]["FileTrack"]["allOf"]
    }
    silent = [
        f"{owner}.{field}"
        for owner, part in parts.items()
        for field, told in part["properties"].items()
        if not told.get("description", "").endswith(".")
    ]
    assert silent == []
