# make quickstart   install and train the shipped tiny model on digit collages (2 minutes, 2 cores)
# make test         install and run the fast tests
# make slow | lint | bench
#
# The environment lies in .venv, made with the versions of constraints.txt; no extras are installed.
# PYTHON=python3.12 make venv picks an interpreter. PIP_INDEX_URL and pip's own settings are honoured.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt

.PHONY: venv dev quickstart test slow lint bench clean

venv: $(VENV)/.installed

dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = (3, 11) <= v[:2] < (3, 14); \
	  sys.exit(0 if ok else "mmrl needs Python 3.11 to 3.13; this is %d.%d. Name one: PYTHON=python3.12 make venv" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (torch first: the others look for it) ..."
	@$(INSTALL) torch
	@$(INSTALL) --editable .
	@touch $@
	@echo "installed: $(BIN)/mmrl"

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(INSTALL) --editable '.[dev]'
	@touch $@

quickstart: venv
	$(BIN)/mmrl train recipes/quickstart.yaml

test: dev
	$(BIN)/python -m pytest

slow: dev
	$(BIN)/python -m pytest -m slow

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv
	$(BIN)/mmrl bench all

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
