#!/usr/bin/env bash
# Set up .venv, then check style and run the tests. Further options go to pytest, e.g. `-k termination`.

extra=test
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Thousands of tiny computations: one process a core, since threads inside them only wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

ruff check .
ruff format --check .
python -m pytest --numprocesses auto "$@"
