# make install | run | test | soak | bench : each does its own set-up (interfaces.md §1).  Needs Python 3.11+ and make.

PYTHON ?= python3
BIN := .venv/bin
# Test processes side by side: one more than cores, since a third of the time a test waits for
# processes, threads and pages.
JOBS ?= 3

.PHONY: help install run test test-fast lint soak bench screenshots requirements

help:
	@echo "make install    the product's packages alone, nothing is started (docs/operations.md)"
	@echo "make run        the demo shop: web, worker and gateway simulator (PORT=8000)"
	@echo "make test       lint, types and every test, browser tests included"
	@echo "make test-fast  lint, and the tests of domain and services on SQLite alone, the longest left out"
	@echo "make soak       everything on both databases, the random tests in their long form"
	@echo "make bench      the figures of docs/figures.md, as ratios"

# Whoever runs the product may not write here, and would compile it anew at each start.
install: .venv/product
	$(BIN)/python -m compileall -q sgpshop

run: .venv/product
	@$(BIN)/python app.py

# The linters run beside the tests and say what they found at the end.  Without byte code on the disk
# each of the dozens of processes would compile everything anew; in a new clone one does it for all.
BESIDE_LINT = said=$$(mktemp); $(MAKE) --no-print-directory lint >$$said 2>&1 & lint=$$!; \
	unset PYTHONDONTWRITEBYTECODE; test -d tests/__pycache__ || $(BIN)/pytest -q --collect-only $(1) >/dev/null; \
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(1); tests=$$?; \
	wait $$lint; lint=$$?; cat $$said; rm $$said; exit $$((tests | lint))

test: .venv/everything
	@sh tests/system-packages.sh
	@$(call BESIDE_LINT)

test-fast: .venv/everything
	@export ONLY_SQLITE=1; $(call BESIDE_LINT,-m 'not long' tests/domain tests/services tests/storage)

lint: .venv/everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/check_citations.py
	$(BIN)/djlint templates sgpshop/simulator/templates --lint --quiet

# Everything that asks a database, on PostgreSQL too, and all combinations of values; then on each 400 walks of 25 steps, 2,000 chains of
# faults, 1,000 lives of three months, some busy days, and lives whose books of before are put back (SQLite); the seeds are printed: WALK_SEED=…,
# MATRIX_SEED=…, ARRIVALS_SEED=…, LIVES_SEED=…, DAYS_SEED=… and BACK_SEED=… go the same way again.
soak: .venv/everything
	sh tests/system-packages.sh
	ALL_DATABASES=1 API_EXAMPLES=$${API_EXAMPLES:-100} $(BIN)/pytest -n $(JOBS) --dist worksteal -k 'postgresql or soak or document_says_is_so or random_calls or any_cells'
	@# Without the lines of the log; but what the tests end with is what this ends with.
	ended=$$(mktemp); { SOAK=1 ALL_DATABASES=1 SOAK_WALKS=$${SOAK_WALKS:-400} SOAK_API_WALKS=$${SOAK_API_WALKS:-200} \
		SOAK_CASES=$${SOAK_CASES:-2000} SOAK_LIVES=$${SOAK_LIVES:-1000} $(BIN)/pytest -n $(JOBS) -rP -o log_level=CRITICAL \
		tests/faults/test_walk.py tests/faults/test_api_walk.py tests/faults/test_matrix.py tests/faults/test_arrivals.py \
		tests/faults/test_lives.py tests/faults/test_two_of_each.py -k 'no_walk or chains or every_yen or put_back or each_order_once'; \
		echo $$? >$$ended; } | grep -vE '^\{'; result=$$(cat $$ended); rm $$ended; exit $$result

screenshots: .venv/everything
	sh tests/system-packages.sh
	$(BIN)/python docs/screenshots.py

bench: .venv/everything
	$(BIN)/python -m benchmarks

# Written again only on purpose, after a change of the .in files.
requirements: .venv/everything
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements-dev.in -o requirements-dev.txt

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make run PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }

# --no-deps: the lists are complete; an older pip would otherwise ask for the newest of an extra.
.venv/product: requirements.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

.venv/everything: requirements-dev.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $@ .venv/product
