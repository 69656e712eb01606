"""Cut long recordings at pauses, by aligning their transcripts with a network trained so far.

    python data/training/segment.py MANIFEST.tsv work/float/model.npz work/segments.tsv --where source=libri --where split=train

A transducer's grid grows with frames times labels, so a sentence of twelve seconds costs four times as much to train on
as four of three seconds. A cut is made only where the alignment puts the border between two words near a real pause:
the quietest 50 ms there must lie well below the recording's speech level. Written as a manifest with start and duration.
"""

import argparse
import os
import pathlib

import numpy as np

from refasr import corpus
from refasr.features import fbank
from refasr.transducer import align
from refasr.transducer.model import FRAME_SECONDS, assemble
from refasr.transducer.model_file import load_model
from refasr.transducer.units import WORD_MARK, encode_text
from refasr.twins import select

RATE_HZ = 16000
WINDOW_S = 0.05
PAUSE_DB = 18.0           # a pause is at least so much quieter than loud speech
LOOK_BACK_S = 0.4         # units are written up to so long after they were said
SHORTEST_S, LONGEST_S = 1.8, 7.0


def unit_times(model, network, samples, labels):
    """When each unit is written on the best path. Parameters: model, network, samples, labels. Returns float64 [U], seconds."""
    stack, backend = model.architecture.stack, select("fast")
    frames = backend(fbank.log_mel)(samples, fbank.Plan.of(model.architecture.profile))
    frames = (frames - model.mean) * model.reciprocal_deviation
    state, encodings = network.encoder.start(), []
    for frame in frames[: len(frames) // stack * stack].reshape(-1, stack * frames.shape[1]):
        h, state, _ = network.encoder.encode(frame, state)
        encodings.append(h)
    scores = align.score_grid(network, np.array(encodings), labels, backend)
    return backend(align.viterbi)(*scores).frames * FRAME_SECONDS


def power_db(samples):
    """Power of 10 ms steps, averaged over 50 ms. Parameters: samples. Returns float64 [N], dB."""
    step = RATE_HZ // 100
    power = np.mean(samples[: len(samples) // step * step].reshape(-1, step).astype(np.float64) ** 2, axis=1)
    width = round(WINDOW_S * 100)
    return 10 * np.log10(np.convolve(power, np.ones(width) / width, mode="same") + 1e-10)


def pauses(samples, words, times, labels_per_word):
    """Cuts between words.

    Parameters
    ----------
    samples : float32 [S]
    words : list of str
    times : float64 [U]             When each unit is written.
    labels_per_word : list of int

    Returns
    -------
    list of (int, float)            Word before which to cut, and where, in seconds.
    """
    level = power_db(samples)
    loud = np.percentile(level, 95)
    ends = np.cumsum(labels_per_word)
    cuts = []
    for index in range(1, len(words)):
        last, mark = times[ends[index - 1] - 1], times[ends[index - 1]]
        first, stop = max(0, int(100 * (last - LOOK_BACK_S))), int(100 * mark) + 1
        window = level[first:stop]
        if len(window) and window.min() < loud - PAUSE_DB:
            cuts.append((index, (first + int(window.argmin())) / 100))
    return cuts


def segments(words, cuts, seconds):
    """Choose cuts so that no piece is short. Parameters: words, cuts, seconds. Returns (text, start, end) tuples."""
    pieces, word, start = [], 0, 0.0
    for index, at in cuts:
        if at - start >= SHORTEST_S and seconds - at >= SHORTEST_S:
            pieces.append((" ".join(words[word:index]), start, at))
            word, start = index, at
    pieces.append((" ".join(words[word:]), start, seconds))
    return pieces


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--where", action="append", default=[])
    options = parser.parse_args()
    model = load_model(options.model)
    network = assemble(model, select("fast"))
    lines = ["file\tsplit\tsource\tspeaker\ttext\textra\tstart\tduration"]
    kept = dropped = 0.0
    for item in corpus.select(corpus.read_manifest(options.manifest), options.where):
        samples, words = corpus.read_samples(item), corpus.transcript(item).split()
        labels = encode_text(" ".join(words))
        seconds = len(samples) / RATE_HZ
        times = unit_times(model, network, samples, labels)
        cuts = pauses(samples, words, times, [len(WORD_MARK + word) for word in words])
        for text, start, end in segments(words, cuts, seconds):
            if end - start > LONGEST_S * 2:
                dropped += end - start
                continue
            kept += end - start
            file = os.path.relpath(item.file, options.out.parent)
            fields = [file, item.split, item.source, item.speaker, text, item.extra, f"{start:.2f}", f"{end - start:.2f}"]
            lines.append("\t".join(fields))
    options.out.write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 1} pieces, {kept / 3600:.2f} h kept, {dropped / 3600:.2f} h too long")


if __name__ == "__main__":
    main()
