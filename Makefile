# Needs Python >= 3.11 (with venv), git and make; everything else comes into .venv with pip, once per set of extras.
VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest -q
PYTHONS := python3 python3.11 python3.12 python3.13 python3.14

# Passes two and three run the twins and hostile files only, on few examples: they are slow and differ in nothing else.
NARROW := $(wildcard tests/test_twins.py tests/test_corruption*.py)

extras_demo := cli
extras_test := test,cli,plots
extras_oracles := test,cli,plots,oracles
extras_bench := test,cli,bench

.PHONY: help demo test test-slow test-oracles bench lint clean

help:
	@echo "make demo          transcribe the recordings in data/samples"
	@echo "make test          the suite in three passes: compiled, without compilation, with bounds checks"
	@echo "make test-slow     long fuzzing, training, whole test sets"
	@echo "make test-oracles  compare with other libraries (installs the oracles extra)"
	@echo "make bench         benchmarks beside the machine's limit and rivals (installs the bench extra)"
	@echo "make lint          the house rules"
	@echo "make clean         remove .venv and what tools left behind"

demo: $(VENV)/.has-demo
	$(VENV)/bin/refasr transcribe data/samples

test: $(VENV)/.has-test
	$(PYTEST)
	NUMBA_DISABLE_JIT=1 HYPOTHESIS_PROFILE=small $(PYTEST) $(NARROW)
	NUMBA_BOUNDSCHECK=1 HYPOTHESIS_PROFILE=small $(PYTEST) $(NARROW)

test-slow: $(VENV)/.has-test
	$(PYTEST) -m slow

test-oracles: $(VENV)/.has-oracles
	$(PYTEST) -m oracle

bench: $(VENV)/.has-bench
	$(PYTHON) -m benchmarks

lint: $(VENV)/.has-test
	$(PYTEST) tests/test_house.py

clean:
	rm -rf $(VENV) .pytest_cache .hypothesis build *.egg-info

# A stamp per purpose: pip runs again only when the dependencies may have changed.
$(VENV)/.has-%: setup.cfg pyproject.toml | $(VENV)/.made
	@echo "installing refasr[$(extras_$*)] into $(VENV)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[$(extras_$*)]' \
	    || { echo "refasr: pip could not install refasr[$(extras_$*)]; see the end of README.md" >&2; exit 1; }
	@touch $@

$(VENV)/.made:
	@for name in $(PYTHONS); do \
	    if $$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        $$name -m venv --clear $(VENV) && touch $@ && exit 0; \
	    fi; \
	done; \
	echo "refasr: got none of $(PYTHONS) with version >= 3.11 and venv; install one of them" >&2; exit 1
