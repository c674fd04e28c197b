# What a contributor runs; `make check` is everything that decides.
PYTHON ?= .venv/bin/python

.PHONY: check docs format lint test wheel

check: lint test

docs: # without the theme's word about its successor
	$(PYTHON) docs/write_tables.py
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m importlinter.cli lint-imports

test:
	$(PYTHON) -m pytest -n 2 --ignore tests/test_checks.py

wheel:
	$(PYTHON) -m build --wheel
