# Each target sets up what it needs; the second run takes seconds.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECK_PYTHON = command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): make PYTHON=python3.12"; exit 1; }; \
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	"Python 3.11 to 3.13 is needed, $(PYTHON) is %d.%d: make PYTHON=python3.12" % v)'
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv/bin/uv)
STAMP := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE :=
# like pip and git: a proxy's certificate that this machine trusts is good for uv too
export UV_SYSTEM_CERTS ?= true

.PHONY: help demo test test-long lab mutate lint bench docs capture clean engine
help:
	@echo "make demo       set up, run the main job on real data, take it down (KEEP=1 keeps it)"
	@echo "make test       set up and run the tests; ARGS='tests/core -k name' runs some, one by one"
	@echo "make test-long  the slowest scenarios"
	@echo "make lab TARGET=sagemaker   leaves an emulated cloud running and prints the environment for it"
	@echo "make mutate     changes each policy rule in each place: its examples must see it"
	@echo "make lint       ruff and mypy"
	@echo "make bench      ratios against peers and bare parts"
	@echo "make docs       write the generated documents again"
	@echo "make capture    write docs/demo.svg again: make demo, in a terminal"
	@echo "make clean      remove what make made (not the engine, which is kept per user)"

.cache/uv/bin/uv:
	@$(CHECK_PYTHON)
	@echo "uv is missing: installing it into .cache/uv"
	@$(PYTHON) -m venv .cache/uv || { echo "install the package python3-venv, or uv itself: https://docs.astral.sh/uv"; exit 1; }
	@.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

$(STAMP): pyproject.toml uv.lock | $(filter .cache/uv/bin/uv,$(UV))
	@$(CHECK_PYTHON)
	@echo "installing the packages of uv.lock into $(VENV) (about 330 MB to download, a minute)"
	@set -o pipefail; $(UV) sync --locked --extra all --python $(PYTHON) 2>&1 | awk '!/^ [-+~] / { print "  " $$0; fflush() }'
	@# all but the SDKs of the clouds: 270 MB of modules, of which a plan imports a few
	@echo "compiling bytecode, so that the first start of each server is not slow"
	@$(BIN)/python -m compileall -q -j 0 -x '/pulumi_(aws|azure_native|gcp)/' $(VENV)/lib core providers cli serving engine policies >/dev/null || true
	@touch $@

engine: $(STAMP)
	@$(BIN)/python -m mlinfra_engine >/dev/null

demo: engine
	@$(BIN)/python -m tests.demo.demo

test: engine
ifdef ARGS
	@$(BIN)/python -m pytest -m 'not long' $(ARGS)
else
	@$(BIN)/python -m tests.go_programs
	@# real processes on a crowded machine: what fails is run once more, and is shown as RERUN
	@$(BIN)/python -m pytest -m 'not long' -n auto --maxprocesses 4 --dist loadfile --cov --cov-report= \
		--reruns 1 --reruns-delay 3 -rR
	@$(BIN)/python -m coverage report --skip-covered --skip-empty | tail -n 40
endif

test-long: engine
	@$(BIN)/python -m pytest -m long $(ARGS)

lab: engine
	@$(BIN)/python -m tests.lab.leave $(TARGET)

mutate: $(STAMP)
	@$(BIN)/python -m tests.policies.mutation $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: engine
	@$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(STAMP)
	@$(BIN)/python docs/generate.py

capture: engine
	@$(BIN)/python docs/capture.py

clean:
	@if [ -x $(BIN)/mlinfra ]; then for e in $(basename $(notdir $(wildcard environments/*.yaml))); do [ ! -d .mlinfra/$$e ] || $(BIN)/mlinfra down $$e || true; done; fi
	@for e in $(filter-out %.lock,$(notdir $(wildcard .cache/demo/repository/.mlinfra/demo*))); do (cd .cache/demo/repository && $(abspath $(BIN))/mlinfra down $$e) || true; done
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
