#!/usr/bin/env bash
# Set up .venv, then check style and run the tests. Further options go to pytest, e.g. `-k termination`.

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ruff check .
ruff format --check .
python -m pytest "$@"
