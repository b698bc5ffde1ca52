# Everything runs in .venv, which is made from requirements.lock on first use.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The ClickHouse of the tests, kept outside of the repository.
CHDB := 26.7.3-stable.1
CLICKHOUSE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/selfheal/clickhouse/$(CHDB)

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports clickhouse browser proxy lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(READY)  ## watch a real service get sick and get healed (ARGS="--seed 3")
	$(BIN)/selfheal demo $(ARGS)

test: $(READY)  ## run the tests (ARGS="tests/unit -x")
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types imports test  ## everything that must hold before a change lands

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

clickhouse: $(CLICKHOUSE)/libchdb.so  ## fetch the ClickHouse that tests run on (180 MB, by npm)

browser:  ## fetch the Chromium in which tests look at reports (Debian and its kin, as root)
	@command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium > /dev/null; }

proxy:  ## install HAProxy, through which fleets are served (Debian and its kin, as root)
	@command -v haproxy > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy > /dev/null; }

lock:  ## resolve the dependencies of pyproject.toml anew into requirements.lock
	$(PYTHON) -m venv $(VENV)/.lock
	$(VENV)/.lock/bin/python -m pip install --quiet uv
	$(VENV)/.lock/bin/uv pip compile pyproject.toml --all-extras --group dev --universal \
		--python-version 3.11 --upgrade --no-header --no-annotate --quiet -o requirements.lock

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist build

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "selfheal needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(CLICKHOUSE)/libchdb.so:
	mkdir -p $(CLICKHOUSE)/fetch
	cd $(CLICKHOUSE)/fetch && npm pack --silent @chdb/lib-linux-x64-gnu@$(CHDB)
	tar -xzf $(CLICKHOUSE)/fetch/*.tgz -C $(CLICKHOUSE)/fetch --touch --strip-components=1 package/libchdb.so
	mv $(CLICKHOUSE)/fetch/libchdb.so $@
	rm -r $(CLICKHOUSE)/fetch
