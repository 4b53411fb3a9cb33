# Two commands do it all: `make run` and `make test`. `make help` tells the rest.

PYTHON := .venv/bin/python
COMPILE := .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
# Two workers a core: many tests wait for processes that start, which makes room for others.
TEST_WORKERS ?= 4
# In the order that tests/fixtures/order.py gives them, not by the number of tests in a group.
IN_PARALLEL := -n $(TEST_WORKERS) --dist loadgroup --no-loadscope-reorder

# Where the caller's environment forbids it, every process compiles all that it imports, and each worker
# of pytest all tests: twice the time to begin.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run doctor test check check-format check-lint check-imports check-types check-unit format attacks contract chaos bench coverage audit sbom lock install clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/platform.stamp ## Start the platform here: PostgreSQL, Redis, and every process of the Procfile
	@$(PYTHON) -m deploy.local

test: .venv/develop.stamp ## Run every test, on servers of their own
	@$(PYTHON) -m pytest -q $(IN_PARALLEL)

check: .venv/develop.stamp ## Look at format, lint, imports, types, and run the unit tests: under a minute
	@$(MAKE) -k -j 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) --no-print-directory \
		check-types check-format check-lint check-imports check-unit

check-format:
	@$(PYTHON) -m ruff format --check

check-lint:
	@$(PYTHON) -m ruff check --quiet

check-imports:
	@.venv/bin/lint-imports

check-types:
	@$(PYTHON) -m mypy

check-unit:
	@$(PYTHON) -m pytest -q tests/unit

format: .venv/develop.stamp ## Put the code into form
	@$(PYTHON) -m ruff format
	@$(PYTHON) -m ruff check --fix

doctor: .venv/platform.stamp ## Say how well this machine can lock models in, and what would make it better
	@$(PYTHON) -m workers.doctor

attacks: .venv/develop.stamp ## Try every attack on a model host, as root and as an ordinary user
	@$(PYTHON) -m pytest -q $(IN_PARALLEL) tests/attacks

contract: .venv/develop.stamp ## Ask every route hundreds of things, and hold the answers against the OpenAPI document
	@CONTRACT_EXAMPLES=$${CONTRACT_EXAMPLES:-300} $(PYTHON) -m pytest -q -s tests/e2e/test_openapi_contract.py

chaos: .venv/develop.stamp ## Kill the workers and servers of jobs and webhooks, fifty times each: some forty minutes
	@CHAOS_RUNS=50 $(PYTHON) -m pytest -q -n 2 tests/chaos

bench: .venv/develop.stamp ## Measure the platform against the floor and against a plain loop
	@$(PYTHON) -m bench

coverage: .venv/develop.stamp ## Run every test and show which lines none of them reached
	@$(PYTHON) -m pytest -q $(IN_PARALLEL) --cov --cov-report=term

audit: .venv/audit.stamp ## Look for known weaknesses in the libraries; ADVISORIES=folder looks there, without the internet
	@requirements/audit

sbom: .venv/audit.stamp ## Write sbom.json, the list of what the platform is made of (CycloneDX)
	@.venv/audit/bin/cyclonedx-py requirements requirements/platform.txt --output-format JSON \
		--output-reproducible --output-file sbom.json
	@echo "Wrote sbom.json"

lock: .venv/develop.stamp ## Compile requirements/*.in to locks with hashes; UPGRADE=1 takes the newest of all
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/platform.in -o requirements/platform.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/develop.in -c requirements/platform.txt -o requirements/develop.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/audit.in -o requirements/audit.txt

install: .venv/develop.stamp ## Make .venv, with all that is needed to run and to change the platform

clean: ## Remove .venv and what the tools left; the data in .modelyard stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis .coverage* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp tells that .venv holds what the lock beside its name says.
.venv/platform.stamp: requirements/platform.txt requirements/uv.txt
	@requirements/install platform
	@touch $@

.venv/develop.stamp: requirements/develop.txt requirements/uv.txt
	@requirements/install develop
	@touch .venv/platform.stamp $@

# Tools that look at the locks, apart from what they look at.
.venv/audit.stamp: requirements/audit.txt .venv/develop.stamp
	@$(PYTHON) -m venv --clear --without-pip .venv/audit
	@.venv/bin/uv pip sync -q --require-hashes --python .venv/audit/bin/python requirements/audit.txt
	@touch $@
