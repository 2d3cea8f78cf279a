# Each target does its own set-up on a machine that has Python 3.11 to 3.13 and make. Nothing needs sudo.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint types bench calibrate clean faults storm fuzz audit recovery

demo: $(VENV)/.draft
	$(BIN)/vvbatch run examples/lighthouse.yaml --model draft --out out

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3  # most tests wait for processes of their own

faults: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 tests/faults

FAULTS ?= 500
LINES ?= 1000
SEED ?= 1
storm: $(VENV)/.dev
	$(BIN)/python -m tools.storm --faults $(FAULTS) --lines $(LINES) --seed $(SEED)

recovery: $(VENV)/.dev
	$(BIN)/python -m tools.recovery 20
	for fault in undisturbed "worker stands still" "server killed" "queue wiped"; do \
	  $(BIN)/python -m tools.recovery 5 "$$fault" || exit 1; done

# The corpus stays: the next run goes on from it. At its end, how many lines of the readers it has reached.
SECONDS ?= 600
CORPUS ?= build/fuzz
fuzz: $(VENV)/.dev
	$(PIP) 'atheris>=2.3' 'coverage>=7'
	$(BIN)/python -m tools.fuzz $(CORPUS) -max_total_time=$(SECONDS)
	$(BIN)/coverage run --data-file=build/fuzz.coverage --include='vvbatch/script/*,vvbatch/audio.py,vvbatch/voices/decode.py' \
	  -m tools.fuzz --replay $(CORPUS)
	$(BIN)/coverage report --data-file=build/fuzz.coverage

# Licences of all that is installed, then what is publicly known to be vulnerable in it. The tools have their own folder:
# they are not part of what is looked at. Ends with an error when nothing could be learnt of some package.
audit: $(VENV)/.dev
	test -x build/audit/bin/pip-audit || ($(BIN)/python -m venv build/audit && \
	  build/audit/bin/pip install --quiet --disable-pip-version-check 'pip-licenses>=5' 'pip-audit>=2.7')
	$(BIN)/python -m tools.audit build/audit/bin $(BIN)/python constraints.txt

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# How well quality control finds faults, on draft speech: the table in docs/quality.md (ten minutes).
calibrate: $(VENV)/.dev
	$(BIN)/python -m bench.quality

bench: $(VENV)/.dev
	$(BIN)/python -m bench.main_job

$(VENV)/.made:
	@python=; for each in python3.13 python3.12 python3.11 python3; do \
	  if $$each -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then echo "vvbatch needs Python 3.11, 3.12 or 3.13 (with venv) on the PATH" >&2; exit 1; fi; \
	echo "making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)
	@touch $@

$(VENV)/.draft: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing vvbatch and the draft voice"
	@$(PIP) --editable '.[draft]'
	@touch $@

# torch first and alone: asked for together with others, pip may take a build with gigabytes of CUDA libraries.
$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing vvbatch and what its tests need"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --editable '.[all]'
	@touch $@ $(VENV)/.draft

clean:
	rm -rf $(VENV) build dist out
