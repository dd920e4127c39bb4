# Each target is complete on a machine with Python >= 3.11 and git: it creates
# the environment, installs and runs.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN = $(VENV)/bin
RUN = $(BIN)/python -m miri_jax.main

.PHONY: demo test test-all docs lint clean

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

clean:
	rm -rf $(VENV) runs build dist site *.egg-info
