"""Mix two networks of one line of training: the long stage at a constant rate and the stage in which the rate fell.

    python data/training/average.py work/float-4/model.npz work/float-5/model.npz 0.3 work/float-average.npz

    w = (1 - share) w_first + share w_second

Weights on one path of training mix well (Wortsman 2022, arXiv 2203.05482). The second stage fits better, the first carries over
better to voices never heard; the share was chosen with greedy search on dev sets: 0.3, 0.5, 0.7 on a part, 0.3, 0.4 on all.
"""

import argparse
import dataclasses
import pathlib

import numpy as np

from refasr.transducer.model_file import load_model, save_model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=pathlib.Path)
    parser.add_argument("second", type=pathlib.Path)
    parser.add_argument("share", type=float, help="of the second, 0 to 1")
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    first, second = load_model(options.first), load_model(options.second)
    if not np.array_equal(first.mean, second.mean):
        parser.error("got networks with different normalisation, expected two stages of one training")
    mixed = {name: ((1 - options.share) * value + options.share * second.parameters[name]).astype(np.float32)
             for name, value in first.parameters.items()}
    save_model(options.out, dataclasses.replace(second, parameters=mixed))


if __name__ == "__main__":
    main()
