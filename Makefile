# Two commands do everything: `make demo` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: install demo serve systems test lint types tests test-core clean

install: $(VENV)/installed

# torch comes first, so that no other package decides which build of it is installed.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/python slicer_extension/demo.py

serve: install
	$(BIN)/medgan serve

# Trains every system on real volumes (hours; goes on where it stopped) and writes docs/systems.md.
systems: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.systems --runs runs/systems --out docs

test: lint types tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# The scene has a process of its own: a renderer and a Qt application do not share one with everything else.
tests: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/core tests/benchmarks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/app
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/scene

# The engine alone, on numpy 2 and without MONAI Label, in an environment of its own.
CORE := $(VENV)-core
$(CORE)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(CORE)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "numpy>=2" --editable ".[benchmarks,test]"
	touch $@

test-core: $(CORE)/installed
	$(CORE)/bin/python -c "import numpy, importlib.util as u; assert numpy.__version__ >= '2'; assert not u.find_spec('monailabel')"
	OMP_NUM_THREADS=1 $(CORE)/bin/python -m pytest -n 2 --dist loadfile tests/core

clean:
	rm -rf $(VENV) $(CORE) demo-output .pytest_cache .mypy_cache .ruff_cache
