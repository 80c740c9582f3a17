# `make chat` and `make test` do all the set-up they need, once; what changed since is done anew.

PYTHON ?=
VENV ?= .venv
PEERS ?= .peers
BACKEND ?=
TORCH ?=
BIN := $(VENV)/bin
SETUP := PYTHON="$(PYTHON)" VENV="$(VENV)" BACKEND="$(BACKEND)" bash tools/setup.sh

# Two threads are enough for the tests' tiny models; more only get into each other's way.
THREADS := OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2 TOKENIZERS_PARALLELISM=false
QUIET_NETWORK := HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1

BASE := $(VENV)/.installed-base
DEVELOPMENT := $(VENV)/.installed-development
INGREDIENTS := pyproject.toml setup.py tools/setup.sh trimtab/engine/_hook.c

.DEFAULT_GOAL := help
.PHONY: help chat test setup lint format bench clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make setup BACKEND=cuda    build llama.cpp for a GPU: cuda, metal or vulkan (cpu goes back)'
	@echo '  make setup TORCH=1         add the PyTorch engine'
	@echo '  make test ONLY=tests/test_cli.py   run some of the tests; FAST=1 leaves the slow ones out'
	@echo '  PYTHON=python3.13          the Python to use, 3.11 to 3.14'

chat: $(BASE)  ## set up what is needed, then chat
	@$(BIN)/trimtab

test: $(DEVELOPMENT)  ## set up what is needed, then run all tests
	$(THREADS) $(QUIET_NETWORK) $(BIN)/python -m pytest $(if $(FAST),-m "not slow") $(ONLY)

lint: $(DEVELOPMENT)  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(DEVELOPMENT)  ## lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEVELOPMENT)  ## speed, as ratios
	$(BIN)/python -m benchmarks.steering
	@PYTHON="$(PYTHON)" VENV="$(VENV)" PEERS="$(PEERS)" bash tools/peers/environment.sh repeng
	$(BIN)/python -m benchmarks.vectors --peer $(PEERS)/repeng/bin/python

setup: $(BASE)  ## install Trimtab into .venv
	@$(if $(BACKEND),$(SETUP) backend)
	@$(if $(filter-out 0 no,$(TORCH)),$(SETUP) torch)
	@echo 'Ready: $(BIN)/trimtab --help'

clean:  ## remove .venv and all that was built
	rm -rf $(VENV) $(PEERS) build dist trimtab.egg-info trimtab/engine/_hook.so trimtab/engine/_hook.dylib
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BASE): $(INGREDIENTS)
	@$(SETUP) base
	@touch $@

$(DEVELOPMENT): $(BASE)
	@$(SETUP) development
	@touch $@
