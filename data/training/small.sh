#!/bin/sh
# The teacher and the shipped small model, from the shipped float network; every stage goes on from its last checkpoint.
# Needs what float.sh needs, and its work/segments.tsv and work/speech2. Run from the repository root.
# Takes about four hours on two idle cores.
set -eu
PYTHON=${PYTHON:-.venv/bin/python}
export OPENBLAS_NUM_THREADS=1

[ -f work/wide.npz ] || "$PYTHON" data/training/widen.py data/models/float.npz work/wide.npz
for stage in teacher teacher-2; do
    "$PYTHON" -m refasr train data/training/$stage.toml
done
"$PYTHON" data/training/quantise_report.py work/teacher-2/model.npz --bits 8 --write work/teacher.refasr
"$PYTHON" data/training/ship.py work/teacher.refasr data/models/teacher.refasr data/training/teacher.toml data/training/teacher-2.toml
for stage in small small-2; do
    "$PYTHON" -m refasr train data/training/$stage.toml
done
"$PYTHON" data/training/quantise_report.py work/small-2/model.npz --write work/small.refasr
"$PYTHON" data/training/ship.py work/small.refasr data/models/small.refasr data/training/small.toml data/training/small-2.toml
