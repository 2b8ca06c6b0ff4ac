# Everything here needs Python 3.11-3.13 and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One marker for each way to set up; it is older than pyproject.toml when that has changed.
USE    := $(VENV)/.use
DEV    := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help demo test check bench worker flower docs format clean

help: ## Show these targets
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(USE) ## See 205 mails go through Redis and a worker to an SMTP server, all local
	@$(BIN)/mailqueue demo

test: $(DEV) ## Run all tests
	@$(BIN)/pytest -n 3 --dist worksteal

check: $(DEV) ## Lint, format, types, import layers and unit tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit

bench: $(DEV) ## Compare with Django's own backend, side by side
	@$(BIN)/python benchmarks/throughput.py

worker: $(USE) ## Run a worker with the settings of the environment
	@$(BIN)/mailqueue worker --loglevel INFO

flower: $(DEV) ## Watch batches and workers in the browser, at http://127.0.0.1:5555
	@$(BIN)/mailqueue flower

docs: $(DEV) ## Write the tables that are made from code into the docs
	$(BIN)/python tests/support/settings_table.py
	$(BIN)/python tests/support/differences_table.py
	PYTHONPATH=tests:. $(BIN)/python tests/support/policy_table.py

format: $(DEV) ## Rewrite the code in its format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## Remove what was set up and built
	rm -rf $(VENV) build dist demo-mail .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "mailqueue needs Python 3.11 to 3.13; try: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(USE): $(VENV)/bin/python pyproject.toml
	@$(BIN)/python -m pip install --quiet -e '.[demo,csv]'
	@touch $@

$(DEV): $(VENV)/bin/python pyproject.toml
	@$(BIN)/python -m pip install --quiet -e '.[demo,csv,django,flask,fastapi,flower,metrics]' --group dev
	@touch $@ $(USE)
