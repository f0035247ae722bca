# Everything runs from .venv, which these rules make; only Python >= 3.11 and make are needed.
#   make demo    a local lab, the bot, and a save, a list and an approved restore to watch
#   make test    linters, types, layers, and all tests against the built and installed wheel
#   make help    the other targets

PYTHON     ?= python3
DOCKER     ?= docker
BASE_IMAGE ?= python:3.11-slim
IMAGE      ?= etcd-snapshot-bot:$(VERSION)
# Extra arguments, for example: make test PYTEST_ARGS="-k approvals -x"
PYTEST_ARGS ?=
DEMO_ARGS   ?=

VENV    := .venv
BIN     := $(VENV)/bin
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
WHEEL   := dist/etcd_snapshot_bot-$(VERSION)-py3-none-any.whl
SOURCES := $(shell find bot handlers -type f -not -name '*.pyc') pyproject.toml README.md LICENSE
CHECKED := $(wildcard bot handlers tests benchmarks docs/*.py)
COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
           --python-version 3.11 --quiet

.DELETE_ON_ERROR:
.PHONY: help demo test lint fmt wheel bench image requirements clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 16

demo: $(VENV)/.installed ## play a save, a list and a two-person restore in a local lab
	BOT_INSTALLED=1 $(BIN)/python -m tests.lab demo $(DEMO_ARGS)

# Tests of one xdist_group share a lab, so they stay in one process.
test: lint $(VENV)/.installed ## run the linters and every test against the installed wheel
	BOT_INSTALLED=1 $(BIN)/pytest -n auto --dist loadgroup $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check style, types and layers
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check --quiet $(CHECKED)
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports --no-logo

fmt: $(VENV)/.dev ## format the code and apply the safe fixes
	$(BIN)/ruff check --fix --quiet $(CHECKED) || true
	$(BIN)/ruff format $(CHECKED)

wheel: $(WHEEL) ## build the wheel into dist/

bench: $(VENV)/.installed ## run each benchmark against a peer measured in the same run
	@set -e; for file in $(wildcard benchmarks/bench_*.py); do echo "== $$file"; $(BIN)/python "$$file"; done

image: ## build the container image (DOCKER=podman works too)
	$(DOCKER) build --build-arg BASE_IMAGE=$(BASE_IMAGE) --tag $(IMAGE) .

requirements: $(VENV)/.dev ## compile the pinned requirements anew, with hashes and no addresses
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group build -c requirements-dev.txt -o requirements-build.txt
	@! grep -nE '://|--index|--find-links' requirements*.txt

clean: ## remove everything these rules made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# --- the environment: each stamp is newer than what it was made from -------------------------------------

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python >= 3.11 is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	touch $@

# uv installs in a second what takes pip fifteen; where uv itself cannot be had, pip does the same work.
$(VENV)/.dev: requirements-dev.txt requirements-build.txt | $(VENV)/.venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt || true
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

$(WHEEL): $(SOURCES) | $(VENV)/.dev
	$(BIN)/hatchling build -t wheel
	touch $@

$(VENV)/.installed: $(WHEEL) $(VENV)/.dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --reinstall $(WHEEL) || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(WHEEL)
	touch $@
