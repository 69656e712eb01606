#!/bin/sh
# The shipped float network, from nothing; every stage goes on from its last checkpoint if it was stopped.
# Needs ../shared/speech (or edit the configurations) and, for the speech that is synthesised here, KOKORO_DIR and TOOLS:
# see data/README.md. Run from the repository root. Takes about four hours on two idle cores.
set -eu
PYTHON=${PYTHON:-.venv/bin/python}
SPEECH=${SPEECH:-../shared/speech}
export OPENBLAS_NUM_THREADS=1

if [ ! -f work/speech2/manifest.tsv ]; then
    for first in 0 20000; do
        "$PYTHON" data/synthesis/speak.py work/speech2 --first $first --count 1000 --tools "$TOOLS" --speech "$SPEECH" \
            --names data/synthesis/names.txt
    done
    (head -n 1 work/speech2/part-0.tsv; tail -q -n +2 work/speech2/part-*.tsv) > work/speech2/manifest.tsv
fi
"$PYTHON" -m refasr train data/training/float-1.toml
if [ ! -f work/segments.tsv ]; then
    "$PYTHON" data/training/segment.py "$SPEECH/recorded.tsv" work/float/model.npz work/segments.tsv \
        --where source=libri --where split=train
fi
"$PYTHON" -m refasr train data/training/float-2.toml
for stage in 3 4 5; do
    "$PYTHON" -m refasr train data/training/float-$stage.toml
done
"$PYTHON" data/training/average.py work/float-4/model.npz work/float-5/model.npz 0.3 work/float-average.npz
"$PYTHON" data/training/ship.py work/float-average.npz data/models/float.npz data/training/float-[1-5].toml
