# Each target is complete on a machine with Python >= 3.11 and git: it creates
# the environment, installs and runs.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN = $(VENV)/bin
RUN = $(BIN)/python -m miri_jax.main

.PHONY: demo test test-all docs lint audit check clean

$(VENV)/ready: setup.py $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

demo: $(VENV)/ready
	@echo '--- the toy of the paper: two Gaussians, 30 % missing'
	$(RUN) --config configs/toy.py:fast --workdir runs/demo-toy
	@echo '--- a real table with real gaps: Beijing PM2.5, 2010'
	$(RUN) --config configs/table.py:beijing --workdir runs/demo-beijing

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: $(VENV)/ready
	$(BIN)/python -m pytest -n 2

# The site in site/; its notebooks are executed, which takes minutes.
docs: $(VENV)/ready
	$(BIN)/pip install --quiet -c $(CONSTRAINTS) -e '.[dev,docs]'
	NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mkdocs build --strict

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# pip-audit has an environment of its own: what it takes is none of ours. Where
# it cannot be had, or looks nothing up, that is said, and is no failure.
audit:
	test -x $(VENV)-audit/bin/python || $(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet pip-audit \
	  || echo 'audit: pip-audit cannot be installed here'
	$(VENV)-audit/bin/python experiments/audit.py $(CONSTRAINTS)

check: lint audit

clean:
	rm -rf $(VENV) $(VENV)-audit runs build dist site *.egg-info
