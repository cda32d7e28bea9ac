# `make demo` and `make test` are all that a newcomer needs; both install what they use into .venv.

VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Each has a Postgres and a Kafka of its own, and mostly waits.
WORKERS ?= 2
BENCHMARKS ?= features predict solve planning audit intake dispatch end_to_end learning

.PHONY: demo test lint servers bench clean

demo: $(VENV)/runtime.stamp
	$(BIN)/apportion demo

# Two processes that each let every core multiply matrices wait for one another, ten times as long.
test: export OPENBLAS_NUM_THREADS ?= 1
test: $(BIN)/python servers lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=15 $(PYTEST_ARGS)

servers:
	@scripts/need-servers.sh

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One JSON line each, and its baselines in the same run.
bench: $(VENV)/dev.stamp servers
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build *.egg-info

# Installed anew whenever pyproject.toml changes.
$(VENV)/runtime.stamp: pyproject.toml $(BIN)/python
	@echo "Installing Apportion into $(VENV): a minute or two."
	@$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --editable .
	@$(BIN)/apportion compile
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp
	@echo "Installing what the tests need into $(VENV)."
	@$(BIN)/python -m pip install -qq --group dev
	@touch $@

$(BIN)/python:
	@scripts/make-venv.sh $(VENV)
