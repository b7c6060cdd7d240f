#!/usr/bin/env bash
# From nothing to a trained agent: set up .venv, then run the main job on the embedded sample.
# Writes runs/quickstart. Further options go to scripts/train.py, e.g. `bash scripts/quickstart.sh seeds=[0]`.

extra=
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

python scripts/train.py preset=quickstart "$@"
