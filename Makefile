# Every target sets itself up: Python 3.11 or newer and make are all that has to be there.
PYTHON ?= python3
PORT ?= $(or $(FILECOPY_PORT),4566)
BIN := .venv/bin
READY := .venv/.ready
PROGRAM_READY := .venv/.ready-program
BENCH_READY := .venv/.ready-bench

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test test-all test-stack test-faults test-engines lint format docs docs-engines bench audit lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv and install the pinned packages

demo: $(READY) ## Watch a file travel through a stack of its own
	$(BIN)/filecopy demo

up: $(READY) ## Bring a local stack up and leave it running (PORT=4566)
	$(BIN)/filecopy up --port $(PORT)

down: $(READY) ## Take the local stack down (PORT=4566)
	$(BIN)/filecopy down --port $(PORT)

FAST := tests/unit tests/handlers tests/e2e

test: $(READY) ## Run the tests, without the slow ones (three minutes)
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow" $(FAST) $(ARGS)

test-all: test ## Run the tests, also the slow ones, but for those of faults and engines
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow $(FAST) $(ARGS)

test-stack: $(if $(STACK),$(READY)) ## Run the end-to-end tests on a stack that is deployed (STACK=outputs.json or a stack's name)
	@test -n "$(STACK)" || { echo "error: STACK must be a file with what 'pulumi stack output --json' printed, or the name of a stack: make test-stack STACK=outputs.json"; exit 1; }
	$(BIN)/python -m pytest -q -rs tests/e2e --stack "$(STACK)" $(ARGS)

test-faults: $(READY) ## Run the tests of faults: bursts, kills, late and repeated events (some minutes)
	$(BIN)/python -m pytest -q tests/faults $(ARGS)

test-engines: $(READY) $(PROGRAM_READY) ## Deploy with the Pulumi CLI to LocalStack and MiniStack, and test there (ENGINES=folder)
	@rm -rf build/engines
	$(BIN)/python -m pytest -q -n 3 --dist loadfile -rs tests/engines $(ARGS)
	@$(BIN)/python -m tools.engines_table --show

docs-engines: $(READY) ## Write what the last make test-engines showed into docs/engines.md
	$(BIN)/python -m tools.engines_table

lint: $(READY) ## Check style, types, and that generated documentation is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.security_page --check
	$(BIN)/python -m tools.workflow_picture --check

format: $(READY) ## Put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Make the generated parts of the documentation
	$(BIN)/python -m tools.security_page
	$(BIN)/python -m tools.workflow_picture

bench: $(BENCH_READY) ## Measure the embedded stack, beside plain boto3 (some minutes; ARGS="--files 200")
	$(BIN)/python -m tests.bench --pictures build $(ARGS)

audit: $(READY) ## Ask for known vulnerabilities of the pinned packages (needs the internet)
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.txt \
		--requirement requirements-bench.txt

lock: $(READY) ## Pin the newest packages that requirements*.in allow
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile $(LOCK) --constraints requirements.txt --output-file requirements-dev.txt requirements-dev.in
	$(BIN)/uv pip compile $(LOCK) --constraints requirements-dev.txt --output-file requirements-bench.txt requirements-bench.in

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"

clean: ## Remove .venv and caches (not a running stack)
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is made again.
$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, and $(PYTHON) is not. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
		{ echo "error: $(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing the pinned packages into .venv (once; about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# What "pulumi install" installs, and nothing else.
$(PROGRAM_READY): $(READY) requirements.txt
	@$(PYTHON) -m venv .venv/program
	@.venv/program/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
	@touch $(PROGRAM_READY)

# Of its own, because it takes longer to install than the tests need to begin.
$(BENCH_READY): $(READY) requirements-bench.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $(BENCH_READY)
