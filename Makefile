# Everything here sets itself up first (scripts/setup.sh: .venv, and a Java where none is found).
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-model golden test test-model test-all check format bench wheel clean distclean

ENV := . scripts/env.sh &&
# Tests and demo stay on this machine: no need that its host name resolves.
export SPARK_LOCAL_IP ?= 127.0.0.1
PROFILE ?= fast
# Processes that share the tests; each has a Spark of two cores and 2 GB.
WORKERS ?= 2

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the virtual environment, and a Java where none is found
	@scripts/setup.sh

demo: setup ## all stages by spark-submit on data/sample, into out/demo, then the funnel; PROFILE=report for the report's order
	@PROFILE=$(PROFILE) scripts/demo.sh

demo-model: ## train the model tiny on the shards of make demo, on a CPU, into out/model/tiny
	@scripts/setup.sh model
	@scripts/demo_model.sh

golden: setup ## make every generated page, count and golden file again (runs the demo) and say what changed; DATA=DIR for all
	@$(ENV) python -m scripts.golden $(if $(DATA),--data $(DATA))

test: setup ## the tests that CI runs
	@$(ENV) python -m pytest -n $(WORKERS) -m "not long"

test-model: ## those of model/ that need torch, which `make test` skips where it is not installed
	@scripts/setup.sh model
	@$(ENV) python -m pytest tests/model -m "not long"

test-all: ## the long tests too
	@scripts/setup.sh long
	@$(ENV) python -m pytest

check: setup ## ruff, mypy --strict, import rules
	@$(ENV) ruff check . && ruff format --check . && mypy && mypy scripts && lint-imports

format: setup ## let ruff format and fix
	@$(ENV) ruff format . && ruff check --fix .

bench: ## the benchmarks; results in benchmarks/results
	@scripts/setup.sh bench
	@$(ENV) for script in $$(grep -l __main__ benchmarks/*.py); do echo "== $$script"; python "$$script" || exit; done

wheel: setup ## dist/corpusmill-*.whl, and the same as dist/corpusmill.zip for spark-submit --py-files
	@rm -rf dist
	@$(ENV) python -m hatchling build -t wheel -d dist
	@cp dist/corpusmill-*.whl dist/corpusmill.zip

clean: ## remove outputs and caches
	rm -rf out dist spark-warehouse metastore_db derby.log .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environment too
	rm -rf .venv .java
