"""What numbers of authors' files have to say of themselves, and that no row is called faithful without them."""

import pytest
from parity_fixtures import FOLDER, parity

from fusionbench.core.catalogue import describe, names

FILES = sorted(path.stem for path in FOLDER.glob("*.npz"))


@pytest.mark.parametrize("name", FILES)
def test_a_fixture_belongs_to_a_strategy_that_names_the_repository(name: str) -> None:
    found = parity(name)
    plugin = describe("strategy", name.partition("-")[0])
    assert found.facts["repository"] in plugin.doc, "the docstring's Source names the repository and the file"
    assert found.arrays


@pytest.mark.parametrize("strategy", [n for n in names("strategy") if describe("strategy", n).facts.get("paper")])
def test_what_is_called_faithful_was_compared_with_the_authors_own_numbers(strategy: str) -> None:
    facts = describe("strategy", strategy).facts
    if facts.get("fidelity") == "faithful":
        assert any(name.partition("-")[0] == strategy for name in FILES)
