# The two commands: `make demo` and `make test`. Both set everything up; a second run reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: help demo test lint types pytest docs bench format clean

help:
	@echo "make demo   compare pooled and separate models on real data, and write a report"
	@echo "make test   lint, types, all tests, docs"
	@echo "make docs   build the docs site into site/"
	@echo "make bench  speed comparisons, as ratios"

# The command-line tool alone.
$(VENV)/.run: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e .
	@touch $@

# Everything that tests and docs need.
$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install -q -c constraints.txt -e '.[dev,docs]'
	@touch $@

demo: $(VENV)/.run
	$(BIN)/sourcewise compare

test: lint types pytest docs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

pytest: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist worksteal --durations 25

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev
	for file in benchmarks/*.py; do $(BIN)/python $$file; done

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache
