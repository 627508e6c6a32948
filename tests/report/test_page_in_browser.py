"""The page in Chromium: it sorts, filters, draws, opens records and saves files; it asks nothing of the network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from headless import ABSENT, COMMAND, Browser
from made_up_suite import Bench, make

from fusionbench.cli.main import main
from fusionbench.plan.suite import RunSpec
from fusionbench.report.write import PAGE

pytest.importorskip("altair", reason="the extra `page` is not installed")
pytest.importorskip("vl_convert", reason="the extra `page` is not installed")
pytestmark = pytest.mark.skipif(COMMAND is None, reason=ABSENT)

MEANS = {
    "chance": 0.1,
    "unimodal+modality=left": 0.80,
    "unimodal+modality=right": 0.78,
    "late": 0.90,
    "concat": 0.94,
    "gated": 0.941,
    "low_rank": 0.93,
}
STRATEGIES = "chance, unimodal, late, concat, gated, low_rank"
EVIL = "</script><script>window.owned=1</script>"
TITLE = f"'<img src=x onerror=window.owned=2> {EVIL[:24]}'"
DATASETS = f"{{name: digits, title: {TITLE}}}"
MORE = "families: [{name: all, rows: [late, concat, gated, low_rank]}]"
SEEDS = 4
PICTURES = (
    *("front", "differences", "pairs", "curves", "costs", "robustness", "reliability"),
    *("calibration: numbers", "robustness: numbers", "robustness: curves", "mine.own: numbers", "mine.own: curves"),
)
NAMES = "[...document.querySelectorAll('section:not([hidden]) .grid:not(.runs) tbody tr:not([hidden])')]"
ORDER = f"{NAMES}.map(row => row.dataset.strategy)"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Hostile where a suite, a record or a file may be: a title, a reason, notes, a folder's strays."""
    folder = tmp_path_factory.mktemp("page")
    made = make(folder, *STRATEGIES.split(", "), seeds=SEEDS, dataset=DATASETS, more=MORE)
    for run in made.runs():
        luck = ((run.seed * 7 + len(run.strategy.name)) % 5 - 2) / 200
        name = made.store.folder_of(run).name
        if (name, run.seed) == ("low_rank", 3):
            made.ended(run, "failed", f"{EVIL} out of memory")
            continue
        curve = [MEANS[name] * (1 - 0.5 / (epoch + 1)) + luck for epoch in range(6)]
        scores = {"test/accuracy": MEANS[name] + luck, "test/own_score": 0.25}
        made.done(run, MEANS[name] + luck, curves={"validation/accuracy": curve}, notes=[EVIL], scores=scores)
        made.size(run, 0 if name == "chance" else 1000 * len(name))
        measures(made, run, MEANS[name])
    made.store.path(made.runs("late")[0]).with_name(f"{EVIL[9:20]}.txt".replace("/", "")).write_text("mine")
    text = f"name: mine\ndatasets: [{DATASETS}]\nstrategies: [{STRATEGIES}]\nseeds: {SEEDS}\n{MORE}\n"
    (folder / "mine.yaml").write_text(text)
    words = ["report", str(folder / "mine.yaml"), "--results", str(folder / "results"), "--format", "html"]
    assert main([*words, "--no-pictures"]) == 0
    return made


def measures(made: Bench, run: RunSpec, mean: float) -> None:
    """Files of shipped measures, and of one that is a user's own and hostile."""
    curve = {"accuracy": [mean - 0.1, mean - 0.2], "nll": [0.3, 0.4 + 0.1 * run.seed]}
    noise = {"left": {"blur": curve, EVIL: curve}}
    spoilt = {"severities": [0.5, 1.0], "clean": {"accuracy": mean}, "noise": noise, "missing": {"left": curve}}
    made.store.publish_measure(run, "robustness", spoilt)
    bins = [{"count": 20, "confidence": 0.3, "accuracy": 0.4}, {"count": 20, "confidence": 0.8, "accuracy": mean}]
    parts = dict.fromkeys(("reliability", "reliability_at_temperature"), bins)
    made.store.publish_measure(run, "calibration", {**parts, "test": {"ece": 1 - mean, "nll": 0.4}})
    own = {EVIL: 0.5, "sure": {"left": mean, "right": mean / 2}, "above": [0.5, 0.9], "'] + alert(1)": [0.9, mean]}
    made.store.publish_measure(run, "mine.own", own)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def page(bench: Bench, browser: Browser) -> Iterator[Browser]:
    """The page anew; whatever a test did, there is no error, and nobody was asked for anything."""
    browser.errors.clear()
    browser.requests.clear()
    browser.open(bench.store.root / PAGE)
    yield browser
    assert browser.ask("window.owned") is None
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith(("data:", "blob:"))] == [browser.ask("location.href")]


def heading(page: Browser, text: str) -> str:
    """The selector of a column's button."""
    found = "[...document.querySelectorAll('.grid:not(.runs) thead th')].findIndex(th => th.textContent.trim() === "
    place = page.ask(f"{found}{json.dumps(text)})")
    assert place >= 0, text
    return f".grid:not(.runs) thead th:nth-child({place + 1}) button"


def choose(page: Browser, name: str, value: str) -> None:
    page.ask(
        f"(box => {{ box.value = {json.dumps(value)}; box.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.querySelector('[data-filter={name}]'))"
    )


def test_it_opens_with_its_sentences_and_all_rows(page: Browser) -> None:
    assert page.ask(ORDER)[:2] == ["gated", "concat"]
    assert "of the 3 strategies of family all, gated has the highest test accuracy" in page.ask(
        "document.querySelector('.ties').textContent"
    )
    assert page.ask("document.querySelector('output').textContent") == "7 of 7 rows"
    assert "out of memory" in page.ask("document.querySelector('.runs').textContent")
    assert "no record's name" in page.ask("document.querySelector('#not-counted').textContent")


def test_a_heading_sorts_by_the_numbers_that_are_shown_and_a_third_press_gives_the_order_back(page: Browser) -> None:
    first = page.ask(ORDER)
    button = heading(page, "fusion parameters")
    page.click(button)
    costs = [1000 * len(name) for name in first if name != "chance"]
    shown = page.ask(f"{NAMES}.map(row => Number(row.cells[{button.split('(')[2].split(')')[0]} - 1].dataset.v))")
    assert shown == sorted([*costs, 0], reverse=True)
    assert page.ask(f"document.querySelector({json.dumps(button)}).parentNode.ariaSort") == "descending"
    page.click(button)
    assert page.ask(ORDER)[0] == "chance"
    page.click(button)
    assert page.ask(ORDER) == first


def test_the_keyboard_alone_sorts_filters_and_closes_a_record(page: Browser) -> None:
    page.ask("document.querySelector('.grid:not(.runs) thead button').focus()")
    page.press("Enter")
    assert page.ask(ORDER) == sorted(MEANS)
    page.ask("document.querySelector('[data-filter=text]').focus()")
    page.press("g", "a", "t", "e")
    assert page.ask(ORDER) == ["gated"]
    page.press("Tab")
    assert page.ask("document.activeElement.dataset.filter") == "family"
    page.ask(
        "document.querySelector('details.every').open = true; document.querySelector('tr:not([hidden]) [data-key]')"
        ".focus()"
    )
    page.press("Enter")
    page.wait("document.querySelector('dialog').open")
    page.press("Escape")
    page.wait("!document.querySelector('dialog').open")


def test_rows_are_filtered_by_family_fidelity_and_interaction_and_runs_follow(page: Browser) -> None:
    choose(page, "interaction", "none")
    assert set(page.ask(ORDER)) == {"late", "chance", "unimodal+modality=left", "unimodal+modality=right"}
    choose(page, "fidelity", "faithful")
    choose(page, "family", "Decisions")
    assert page.ask(ORDER) == ["late"]
    assert page.ask("document.querySelector('output').textContent") == "1 of 7 rows"
    kept = "[...document.querySelectorAll('.runs tbody tr:not([hidden])')].map(row => row.dataset.strategy)"
    assert page.ask(kept) == ["late"] * SEEDS
    page.click("[data-clear]")
    assert len(page.ask(ORDER)) == 7


def test_columns_are_switched_on_and_off(page: Browser) -> None:
    page.ask("document.querySelector('details.columns').open = true")
    shown = "[...document.querySelectorAll('.grid:not(.runs) thead th:not([hidden])')].map(th => th.textContent)"
    assert "own score" not in page.ask(shown)
    page.click("[data-column]:not(:checked)")
    assert "own score" in page.ask(shown)
    before = len(page.ask(shown))
    page.click("[data-column='1']")
    assert len(page.ask(shown)) == before - 1
    assert "name" not in page.ask(shown)


def test_pictures_are_drawn_when_they_come_into_view_and_follow_the_filters(page: Browser) -> None:
    names = page.ask("[...document.querySelectorAll('figure')].map(figure => figure.dataset.picture)")
    assert names == [f"0-{name}" for name in PICTURES]
    for name in names:
        page.ask(f"document.querySelector('[data-picture=\"{name}\"]').scrollIntoView()")
        svg = f"document.querySelector('[data-picture=\"{name}\"] svg')"
        size = page.wait(f"(svg => svg && [svg.clientWidth, svg.clientHeight])({svg})")
        assert min(size) > 60, name
    marks = "document.querySelectorAll('[data-picture=\"0-front\"] .mark-symbol.role-mark path').length"
    page.wait(f"{marks} === 6")  # Chance costs nothing.
    choose(page, "text", "unimodal")
    page.wait(f"{marks} === 2")
    assert page.ask("document.querySelectorAll('[data-picture=\"0-pairs\"] .mark-rect path').length") == 3


def shown_of(page: Browser, name: str) -> str:
    """A picture that is drawn, as an expression."""
    figure = f"document.querySelector({json.dumps(f'[data-picture={json.dumps(name)}]')})"
    page.ask(f"{figure}.scrollIntoView()")
    page.wait(f"{figure}.querySelector('svg') !== null")
    return figure


def test_what_is_chosen_of_a_measure_is_shown_and_follows_the_filters(page: Browser) -> None:
    figure = shown_of(page, "0-mine.own: numbers")
    labels = page.ask(f"[...{figure}.querySelectorAll('option')].map(one => one.textContent)")
    assert labels == ["sure", EVIL, "sure, left", "sure, right"]
    marks = f"{figure}.querySelectorAll('.mark-symbol.role-mark path').length"
    page.wait(f"{marks} === {2 * len(MEANS)}")  # Both that stand together.
    page.ask(f"{figure}.querySelector('select').focus()")
    page.press("ArrowDown", "ArrowDown")
    page.wait(f"{marks} === {len(MEANS)}")
    choose(page, "text", "unimodal")
    page.wait(f"{marks} === 2")
    figure = shown_of(page, "0-mine.own: curves")
    page.wait(f"{figure}.querySelectorAll('.mark-line path').length === 2")


def test_a_panel_for_each_noise_has_a_line_for_each_strategy(page: Browser) -> None:
    figure = shown_of(page, "0-robustness")
    lines = f"{figure}.querySelectorAll('.mark-line path').length"
    page.wait(f"{lines} === {3 * (len(MEANS) - 1)}")  # Chance looks at nothing.
    assert f"left: {EVIL}" in page.ask(f"{figure}.querySelector('svg').textContent")
    heading = f"[...{figure}.querySelectorAll('svg text')].find(one => one.textContent === 'left: missing')"
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--text').trim()"
    assert page.ask(f"{heading}.getAttribute('fill') === {colour}")  # It is read on black as on white.
    choose(page, "text", "concat")
    page.wait(f"{lines} === 3")


def test_a_key_opens_the_record_as_its_file_has_it(page: Browser, bench: Bench) -> None:
    page.ask("document.querySelector('details.every').open = true")
    run = bench.runs("gated")[1]
    page.click(f"[data-key='{run.key}']")
    page.wait("document.querySelector('dialog').open")
    said = json.loads(page.ask("document.querySelector('dialog pre').textContent"))
    assert said == json.loads(bench.store.path(run).read_text())
    page.click("[data-close]")
    page.wait("!document.querySelector('dialog').open")


def saved(folder: Path, name: str) -> bytes:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if (folder / name).exists():
            return (folder / name).read_bytes()
        time.sleep(0.05)
    raise AssertionError(f"not saved: {name}; there are {[path.name for path in folder.iterdir()]}")


def test_files_are_saved_as_they_lie_beside_the_page(page: Browser, bench: Bench, tmp_path: Path) -> None:
    page.save_to(tmp_path)
    for name in ("digits/table.csv", "digits/table.tex"):
        page.click(f"[data-file='{name}']")
        assert saved(tmp_path, name.replace("/", "-")) == (bench.store.root / name).read_bytes()
    page.click("[data-file='references.bib']")
    assert b"@" in saved(tmp_path, "references.bib")


def test_what_is_smuggled_in_does_not_run_and_reaches_nobody(bench: Bench, browser: Browser) -> None:
    browser.open(bench.store.root / PAGE)
    browser.errors.clear()
    browser.requests.clear()
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.owned = 3'}))"
    )
    browser.ask("document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x.png'}))")
    assert browser.ask("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')") == "refused"
    assert browser.ask("window.owned") is None
    assert sum("Content Security Policy" in error for error in browser.errors) >= 3
    browser.errors.clear()


def test_of_several_data_sets_one_is_shown_at_a_time_and_all_of_them_together(tmp_path: Path, browser: Browser) -> None:
    datasets = "digits, {name: synthetic_pid, options: {relation: synergy}}"
    made = make(tmp_path, "late", "concat", "gated", seeds=2, dataset=datasets)
    made.fill({"late": 0.6, "concat": 0.7, "gated": 0.8})
    text = f"name: mine\ndatasets: [{datasets}]\nstrategies: [late, concat, gated]\nseeds: 2\n"
    (tmp_path / "mine.yaml").write_text(text)
    words = ["report", str(tmp_path / "mine.yaml"), "--results", str(tmp_path / "results"), "--format", "html"]
    assert main([*words, "--no-pictures"]) == 0
    browser.errors.clear()
    browser.open(made.store.root / PAGE)
    shown = "[...document.querySelectorAll('main > section:not([hidden]) h2')].map(h => h.textContent)"
    assert browser.ask(shown) == ["All data sets", "Files"]
    assert "mean rank" in browser.ask("document.querySelector('section:not([hidden]) thead').textContent")
    browser.click("nav button:last-child")
    assert [title.partition(",")[0] for title in browser.ask(shown)] == ["Synthetic PID (synergy)", "Files"]
    browser.ask("document.querySelector('section:not([hidden]) figure').scrollIntoView()")
    browser.wait("document.querySelector('section:not([hidden]) figure svg') !== null")
    browser.open(made.store.root / PAGE, "#part1")
    assert browser.ask(shown) == ["Digits", "Files"]
    assert browser.errors == []
