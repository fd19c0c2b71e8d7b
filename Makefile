# The virtual environment is built where it is missing. TORCH picks another build of PyTorch, for a GPU for example:
#   make .venv TORCH=torch==2.12.0
# An environment that is there already is not changed by it: remove .venv first.
TORCH ?= torch==2.13.0
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# On small scenes threads that wait for one another cost more than they do, most of all where other programs run too.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test stress lint .venv

demo: .venv
	$(BIN)/python scripts/demo.py

test: .venv
	$(BIN)/python -m pytest -m "not stress" -n auto --dist loadfile --durations=10

stress: .venv
	$(BIN)/python -m pytest -m stress --durations=10

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv: .venv/installed

# The stamp comes last: an environment whose building was interrupted has none, and is completed.
.venv/installed: pyproject.toml
	rm -f $@
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install "$(TORCH)"
	$(BIN)/python -m pip install -e ".[train,dev]"
	touch $@
