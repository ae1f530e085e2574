# Every target sets up all it needs in .venv; the second time that takes no time.
#   make demo      the main job, end to end, on real proteins where there are any (DATA=path: yours)
#   make test      all tests
#   make check     style and types
#   make figures   the figures of the README (3 seeds: long)
#   make bench     the tables in benchmarks/
#   make clean     remove the environment and all that demo and figures wrote
# PYTHON=/path/to/python chooses the interpreter (3.11 or later) that .venv is made from.

.PHONY: help demo test check figures bench clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

PY := .venv/bin/python
MADE := .venv/made
CORE := .venv/installed-core
DEV := .venv/installed-dev
PIP := $(PY) -m pip --disable-pip-version-check -qq install -c constraints.txt
PIP_FAILED := { echo "error: pip: could not install; its own words stand above. Try again with a network, or another PYTHON=." >&2; exit 2; }

# The stamps go with .venv; they count for nothing where its Python is gone or the folder was moved.
$(shell [ -x $(PY) ] && [ "$$(cat $(MADE) 2>/dev/null)" = "$$(pwd -P)" ] || rm -f $(MADE) $(CORE) $(DEV))

# A process a core, each with one thread: more would get in each other's way.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ $$n -lt 8 ] && echo $$n || echo 8)

help:
	@sed -n '2,8s/^# *//p' Makefile

demo: $(CORE)
	@$(PY) benchmarks/mitochondrion.py demo $(if $(DATA),--data "$(DATA)") -o demo

figures: $(CORE)
	@$(PY) benchmarks/mitochondrion.py figures $(if $(DATA),--data "$(DATA)") -o runs/mitochondrion

test: $(DEV)
	@command -v mmseqs >/dev/null || echo "note: no mmseqs on the PATH: the tests of similarity search are skipped, or fail in CI. Try 'apt-get install mmseqs2' or conda's bioconda." >&2
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS)

check: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(DEV)
	@for script in $(filter-out benchmarks/mitochondrion.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$script"; $(PY) $$script || exit; \
	done

clean:
	rm -rf .venv demo runs .mypy_cache .ruff_cache .hypothesis build dist

$(MADE):
	@PYTHON="$(PYTHON)" sh .ci/make-venv .venv
	@pwd -P > $@

$(CORE): pyproject.toml constraints.txt | $(MADE)
	@echo "Installing Lexome into .venv (the first time some 300 MB: a few minutes)"
	@$(PIP) -e . || $(PIP_FAILED)
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(MADE)
	@echo "Installing Lexome and what its tests need into .venv (the first time some 350 MB: a few minutes)"
	@$(PIP) -e '.[dev]' || $(PIP_FAILED)
	@touch $(CORE) $@
