#!/bin/sh
# The teacher and the shipped small model, from the shipped float network; every stage goes on from its last checkpoint.
# Needs what float.sh needs, and its work/segments.tsv and work/speech2. Run from the repository root.
# Takes about three hours on two idle cores.
set -eu
PYTHON=${PYTHON:-.venv/bin/python}
export OPENBLAS_NUM_THREADS=1

[ -f work/wide.npz ] || "$PYTHON" data/training/widen.py data/models/float.npz work/wide.npz
"$PYTHON" -m refasr train data/training/teacher.toml
"$PYTHON" data/training/quantise_report.py work/teacher/model.npz --bits 8 --write work/teacher.refasr
"$PYTHON" data/training/ship.py work/teacher.refasr data/models/teacher.refasr data/training/teacher.toml
"$PYTHON" -m refasr train data/training/small.toml
"$PYTHON" data/training/quantise_report.py work/small/model.npz --write work/small.refasr
"$PYTHON" data/training/ship.py work/small.refasr data/models/small.refasr data/training/small.toml
