# make tune   install, make the quick start's model and data, run its study
# make test   install, run the test suite (under ten minutes on two cores)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

# The first interpreter that really runs and is one of 3.11 to 3.13.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$python" && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed
# Two processes of tests: most of a test is one thread that waits for another.
BESIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: install tune test test-all nightly lint docs reference environments clean
.DEFAULT_GOAL := install

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed (make PYTHON=/path/to/python)"; exit 1; }
	"$(PYTHON)" -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable ".[tf,dashboard,postgresql,mysql,ray,dev]"
	touch $(INSTALLED)

tune: install
	$(BIN)/python configs/models/flight_delays.py
	$(BIN)/amp-tune --config configs/quickstart.yaml

test: install
	$(BIN)/python -m pytest $(BESIDE)

# Everything that needs more: packaged models, older TensorFlows, long rounds.
test-all: install environments
	$(BIN)/python -m pytest -m all_only $(BESIDE)

# Thousands of generated cases, the largest models: hours, not minutes.
nightly: install
	$(BIN)/python -m pytest -m nightly

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases --follow-imports=silent --ignore-missing-imports \
	  --no-warn-return-any --allow-subclassing-any --allow-untyped-decorators experiments

# The pages in docs/ as a site in build/docs; a broken link ends it.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# The pages of docs/reference that the code itself gives.
reference: install
	$(BIN)/python -m docs.generate

# Targets that cannot share the tuner's environment: older TensorFlow, older Python, JAX alone.
environments: .environments/tf215/.installed .environments/tf215-py39/.installed .environments/itex/.installed
environments: .environments/jax/.installed .environments/serving/.installed
environments: .environments/kubernetes/.installed

# TensorFlow Serving's messages alone: the package asks for a TensorFlow of its own.
.environments/serving/.installed: $(INSTALLED)
	if $(BIN)/python -m pip install --quiet --no-deps --upgrade --target .environments/serving "tensorflow-serving-api==2.21.0"; then touch "$@"; else \
	  echo "SKIPPED: tensorflow-serving-api does not install: its tests will not run" >&2; fi

# What Kubernetes accepts, in every version: a hundred megabytes that only one test reads.
.environments/kubernetes/.installed: $(INSTALLED)
	if $(BIN)/python -m pip install --quiet --no-deps --upgrade --target .environments/kubernetes "kubernetes-validate==1.37.0" "importlib-resources==7.1.0"; then touch "$@"; else \
	  echo "SKIPPED: kubernetes-validate does not install: its test will not run" >&2; fi

.environments/jax/.installed: environments-jax.txt

.environments/%/.installed: environments.txt environments-itex.txt
	@pins=environments.txt
	case "$*" in
	  tf215) python=$(PYTHON); what="tensorflow-cpu==2.15.1" ;;
	  tf215-py39) python=$$(for p in python3.9 "$$HOME"/.pyenv/versions/3.9.*/bin/python; do \
	      "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 9))' 2>/dev/null && echo "$$p" && break; done || true)
	    what="tensorflow-cpu==2.15.1" ;;
	  itex) python=$(PYTHON); what="intel-extension-for-tensorflow[cpu]==2.15.0.0"; pins=environments-itex.txt ;;
	  jax) python=$(PYTHON); what="jax==0.9.0"; pins=environments-jax.txt ;;
	esac
	rm -rf ".environments/$*"
	if [ -z "$$python" ]; then echo "SKIPPED: no interpreter for .environments/$*: its tests will not run" >&2; exit 0; fi
	"$$python" -m venv ".environments/$*"
	if ".environments/$*/bin/python" -m pip install --quiet -c $$pins "$$what"; then touch "$@"; else \
	  echo "SKIPPED: $$what does not install on $$("$$python" --version): its tests will not run" >&2; fi

clean:
	rm -rf .venv .environments .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
