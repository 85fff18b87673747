# Everything below sets up its own .venv; nothing has to be installed first but python3.11+ (with
# venv), git and make.
#
#   make demo    a photo and a text, compressed and decompressed by the trained models
#   make test    all tests, one process a core   (ARGS="-m 'not slow'" for the quick ones)
#   make lint    ruff and mypy
#   make wheel   a wheel in dist/, with machine code for Linux on x86-64 where this is such a machine
#   make docs    the documentation site, in site/, with every link checked
#   make clean   remove .venv and site
#
# On Linux, PyPI's torch brings the CUDA libraries with it (some GB). For a machine without a GPU,
# PyTorch's own CPU index has a small build of the same version:
#
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint wheel docs clean

demo: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.demo
	$(BIN)/python share/kernels.py
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) site

# torch goes first and alone, so that TORCH may name another index for it and for nothing else.
$(VENV)/.base: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bfncodec needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
	  echo "Name another one: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments: its venv module is not installed."; \
	  echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint requirements.txt $(TORCH)
	$(PIP) install --quiet --constraint requirements.txt hatchling editables
	$(PIP) install --quiet --constraint requirements.txt --no-build-isolation --editable .
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.base
	$(PIP) install --quiet --constraint requirements.txt --no-build-isolation --editable '.[$*]'
	@touch $@
