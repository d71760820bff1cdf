# Each target installs what it needs. Python 3.11 or newer and make are the only requirements.
PYTHON ?= python3
PORT ?= $(or $(FILECOPY_PORT),4566)
BIN := .venv/bin
READY := .venv/.ready
PROGRAM_READY := .venv/.ready-program
BENCH_READY := .venv/.ready-bench
LAMBDA_BOTO3 := .venv/lambda-boto3
LAMBDA_READY := $(LAMBDA_BOTO3)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up console down test test-all test-slow test-lambda test-stack test-faults test-engines lint format docs docs-engines bench simulate audit lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv and install the pinned packages

demo: $(READY) ## Show the workflow on a temporary embedded stack
	$(BIN)/filecopy demo

up: $(READY) ## Start an embedded stack and leave it running (PORT=4566)
	$(BIN)/filecopy up --port $(PORT)

console: $(READY) ## Show the embedded stack in a browser (PORT=4566)
	$(BIN)/filecopy console --stack-port $(PORT)

down: $(READY) ## Stop the embedded stack and delete it (PORT=4566)
	$(BIN)/filecopy down --port $(PORT)

TESTS := tests/unit tests/handlers tests/simulation tests/e2e

test: $(READY) ## Run the tests, except the slow ones (five minutes)
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow" $(TESTS) $(ARGS)

test-all: test test-lambda test-slow ## Run the slow tests, too, except test-faults and test-engines

test-slow: $(READY) ## Run only the slow tests (ten minutes)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow $(TESTS) $(ARGS)

test-lambda: $(READY) $(LAMBDA_READY) ## Run the functions' tests with the oldest boto3 that they work with (a minute)
	@PYTHONPATH=$(LAMBDA_BOTO3) $(BIN)/python -c 'import boto3; assert "lambda-boto3" in boto3.__file__, boto3.__file__'
	PYTHONPATH=$(LAMBDA_BOTO3) $(BIN)/python -m pytest -q -n 2 -m "not slow" tests/handlers $(ARGS)

test-stack: $(if $(STACK),$(READY)) ## Run the end-to-end tests on a deployed stack (STACK=outputs.json or its name)
	@test -n "$(STACK)" || { echo "error: STACK must be the name of a stack, or a file with the output of 'pulumi stack output --json': make test-stack STACK=outputs.json"; exit 1; }
	$(BIN)/python -m pytest -q -rs tests/e2e --stack "$(STACK)" $(ARGS)

test-faults: $(READY) ## Run the tests of bursts, kills, late and repeated events (some minutes)
	$(BIN)/python -m pytest -q tests/faults $(ARGS)

test-engines: $(READY) $(PROGRAM_READY) ## Deploy with the Pulumi CLI to LocalStack and MiniStack, and test there (ENGINES=folder)
	@rm -rf build/engines
	$(BIN)/python -m pytest -q -n 3 --dist loadfile -rs tests/engines $(ARGS)
	@$(BIN)/python -m tools.engines_table --show

docs-engines: $(READY) ## Write the results of the last make test-engines into docs/engines.md
	$(BIN)/python -m tools.engines_table

lint: $(READY) ## Check style, types, names of AWS's arguments, and generated documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.security_page --check
	$(BIN)/python -m tools.workflow_picture --check
	$(BIN)/python -m tools.sdk_names

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Regenerate the parts of the documentation that come from the program
	$(BIN)/python -m tools.security_page
	$(BIN)/python -m tools.workflow_picture

bench: $(BENCH_READY) ## Measure the embedded stack against plain boto3 (some minutes; ARGS="--files 200")
	$(BIN)/python -m tests.bench --pictures build $(ARGS)

simulate: $(READY) ## Run the workflow through thousands of histories with faults (SEEDS=100000, or SEED=17)
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000)) $(ARGS)

audit: $(READY) ## Check the pinned packages for known vulnerabilities (needs the internet)
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.txt \
		--requirement requirements-bench.txt
	.venv/audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-lambda.txt

lock: $(READY) ## Pin the newest versions that requirements*.in allow
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile $(LOCK) --constraints requirements.txt --output-file requirements-dev.txt requirements-dev.in
	$(BIN)/uv pip compile $(LOCK) --constraints requirements-dev.txt --output-file requirements-bench.txt requirements-bench.in
	$(BIN)/uv pip compile $(LOCK) --output-file requirements-lambda.txt requirements-lambda.in

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"

clean: ## Remove .venv and caches (not a running stack)
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation starts again.
$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) must be Python 3.11 or newer. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
		{ echo "error: $(PYTHON) cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing the pinned packages into .venv (once; about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# Only the packages that "pulumi install" installs.
$(PROGRAM_READY): $(READY) requirements.txt
	@$(PYTHON) -m venv .venv/program
	@.venv/program/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
	@touch $(PROGRAM_READY)

# A folder in front of the packages of .venv.
$(LAMBDA_READY): requirements-lambda.txt
	@rm -rf $(LAMBDA_BOTO3)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-warn-conflicts --target $(LAMBDA_BOTO3) -r requirements-lambda.txt
	@touch $(LAMBDA_READY)

# A separate step, because these packages take long to install and the tests do not need them.
$(BENCH_READY): $(READY) requirements-bench.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $(BENCH_READY)
