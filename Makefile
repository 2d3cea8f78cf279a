# Each target does its own set-up on a machine that has Python 3.11 to 3.13 and make. Nothing needs sudo.
# ARGS goes to pytest: make test ARGS="-k name". PYTHON names the interpreter that .venv is made with.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

PYTEST := $(BIN)/python -m pytest

# Tests start thousands of processes. Without bytecode each of them compiles the whole project.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo unit test faults lint types hooks bench calibrate clean storm fuzz audit recovery

demo: $(VENV)/.draft
	$(BIN)/vvbatch run examples/lighthouse.yaml --model draft --out out

# Tests that start no worker, server or command and take at most about 2 s each. Properties are tried with 10 examples, and
# each of the two processes computes with one thread: under a minute on 2 cores.
unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist worksteal -p no:schemathesis -m "not slow" --hypothesis-profile quick tests/unit $(ARGS)

# Three at a time also on 2 cores: most tests wait for processes of their own. Whoever is done takes half of another's
# tests: the slow ones lie together, and would otherwise all run in one process at the end.
test: $(VENV)/.dev
	$(PYTEST) -n 3 --dist worksteal --durations=10 $(ARGS)

faults: $(VENV)/.dev
	$(PYTEST) -n 3 --dist worksteal -m faults tests/faults $(ARGS)

FAULTS ?= 500
LINES ?= 1000
SEED ?= 1
storm: $(VENV)/.dev
	$(BIN)/python -m tools.storm --faults $(FAULTS) --lines $(LINES) --seed $(SEED)

recovery: $(VENV)/.dev
	$(BIN)/python -m tools.recovery 20
	for fault in undisturbed "worker stands still" "server killed" "queue wiped"; do \
	  $(BIN)/python -m tools.recovery 5 "$$fault" || exit 1; done

# The corpus is kept, and the next run continues from it. At the end: how many lines of the readers were reached.
SECONDS ?= 600
CORPUS ?= build/fuzz
fuzz: $(VENV)/.dev
	$(PIP) 'atheris>=2.3' 'coverage>=7'
	$(BIN)/python -m tools.fuzz $(CORPUS) -max_total_time=$(SECONDS)
	$(BIN)/coverage run --data-file=build/fuzz.coverage --include='vvbatch/script/*,vvbatch/audio/*,vvbatch/voices/decode.py' \
	  -m tools.fuzz --replay $(CORPUS)
	$(BIN)/coverage report --data-file=build/fuzz.coverage

# The licences of all installed packages, then their known vulnerabilities. The tools have a folder of their own, so that
# they are not audited themselves. Fails if a package could not be looked up.
audit: $(VENV)/.dev
	test -x build/audit/bin/pip-audit || ($(BIN)/python -m venv build/audit && \
	  build/audit/bin/pip install --quiet --disable-pip-version-check 'pip-licenses>=5' 'pip-audit>=2.7')
	$(BIN)/python -m tools.audit build/audit/bin $(BIN)/python constraints.txt

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# Runs lint and types at each commit (.pre-commit-config.yaml).
hooks: $(VENV)/.dev
	$(PIP) 'pre-commit>=4'
	$(BIN)/pre-commit install

# How well quality control detects defects in draft speech: the table in docs/quality.md (ten minutes).
calibrate: $(VENV)/.dev
	$(BIN)/python -m bench.quality

bench: $(VENV)/.dev
	$(BIN)/python -m bench.main_job

$(VENV)/.made:
	@python=; for each in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	  if $$each -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then echo "vvbatch needs Python 3.11, 3.12 or 3.13 (with venv) on the PATH" >&2; exit 1; fi; \
	echo "making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)
	@touch $@

$(VENV)/.draft: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing vvbatch and the draft voice"
	@$(PIP) --editable '.[draft]'
	@touch $@

# torch first and alone: together with others, pip may choose a build with gigabytes of CUDA libraries.
$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing vvbatch and what its tests need"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --editable '.[all]'
	@touch $@ $(VENV)/.draft

clean:
	rm -rf $(VENV) build dist out
