# The common commands by name. Bare `make` prints what there is; each line below the targets is what it runs.
# One environment, .venv, holds whatever group was asked for last and all that was asked for before.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
NEWEST_FIRST := python3.11 python3.12 python3.13 python3.14 python3
IS_FIT := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell for name in $(NEWEST_FIRST); do $$name -c '$(IS_FIT)' 2>/dev/null && echo $$name && break; done)
ENGINE = $(shell for name in docker podman; do $$name info >/dev/null 2>&1 && echo $$name && break; done)
IMAGE := signalbox
TWICE := onnxruntime/capi/libonnxruntime.so.*
UNUSED := huggingface-hub hf-xet filelock fsspec httpcore2 httpx2 pyyaml tqdm truststore setuptools

# Bytecode is written whatever the caller's environment says: it makes every start after the first faster.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help serve demo test check format train report screenshots image chromium pins clean

help: ## Print this help
	@echo "Signalbox: who should handle a customer post, and may a machine answer it?"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## Serve models/default on http://127.0.0.1:8000 (first time: makes .venv, under 200 MB)
	$(PY) -m serving

demo: $(VENV)/.workbench ## Fill a journal of its own with a month, and show the QA workbench on http://127.0.0.1:8000/qa
	$(PY) -m serving demo

test: $(VENV)/.dev chromium ## Install the dev group and run the whole test suite
	$(PY) -m pytest

check: $(VENV)/.dev ## Lint, formatting, types and layers
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## Sort imports and format the code
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

train: $(VENV)/.train ## Make a bundle anew from the corpus, in runs/ (2 cores: some two hours and a half)
	$(PY) -m training run

report: $(VENV)/.evaluate ## Write the confusion report and say where it is
	$(PY) -m evaluation report

screenshots: $(VENV)/.dev chromium ## Take the README's pictures of the workbench anew
	$(PY) -m tests.workbench.screenshots

image: ## Build the container image of the server
	@test -n "$(ENGINE)" || { echo "No image was built: neither docker nor podman answers on this machine." \
		"Wanted: one of them, running. Install or start one, or serve without a container: make serve." >&2; exit 2; }
	$(ENGINE) build --tag $(IMAGE) .

chromium: $(VENV)/.dev ## Make sure of a browser for the tests of the report and of the page
	@PY=$(PY) .ci/chromium

pins: ## Write constraints.txt anew from what .venv holds
	$(PY) -m tests.packaging.pins

clean: ## Remove .venv, caches and reports; keeps data, bundles and runs
	rm -rf $(VENV) .cache build reports .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is noted in empty files .venv/.GROUP; a change of pins or groups installs anew.
$(PY):
	@test -n "$(PYTHON)" || { echo "No .venv was made: found $$(python3 --version 2>&1 || true)." \
		"Wanted: Python 3.11 or later with its venv module. Install it, or name it: make serve PYTHON=/path/to/python3.11" \
		>&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -B -m pip install --no-compile --upgrade 'pip>=25.1'

# A server downloads nothing: where nothing is trained, the client that `tokenizers` asks for goes (docs/decisions/0006).
# onnxruntime brings its library twice; the one for C programs is never loaded from Python (docs/decisions/0019).
$(VENV)/.serve: $(PY) pyproject.toml constraints.txt
	$(PY) -B -m pip install --no-compile --group serve --constraint constraints.txt
	ls -d $(VENV)/lib/*/site-packages/transformers >/dev/null 2>&1 || $(PY) -B -m pip uninstall --yes $(UNUSED)
	rm -f $(VENV)/lib/*/site-packages/$(TWICE)
	touch $@

BRINGS_evaluate := serve evaluate
BRINGS_workbench := serve evaluate workbench
BRINGS_train := serve evaluate train
BRINGS_dev := serve evaluate workbench train dev

$(VENV)/.evaluate $(VENV)/.workbench $(VENV)/.train $(VENV)/.dev: $(VENV)/.%: $(PY) pyproject.toml constraints.txt
	$(PY) -m pip install --group $* --constraint constraints.txt
	touch $(foreach group,$(BRINGS_$*),$(VENV)/.$(group))
