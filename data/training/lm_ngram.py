"""Estimate an n-gram model of a text and write it as an ARPA file. The shipped one:

    python data/training/lm_ngram.py TEXT/assistant.txt data/models/lm.arpa.gz --order 4 --prune 0 1 1 2

TEXT is what data/text/assistant.py wrote. The same with TEXT/transcripts.txt gives the model of what the recogniser heard in
training, for `refasr second-pass --source`.
"""

import argparse
import pathlib

from refasr.rescoring import arpa, kneser_ney


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--prune", type=int, nargs="+", default=[0], help="by length: what was seen at most so often is left out")
    options = parser.parse_args()
    sentences = [line.split() for line in options.text.read_text(encoding="utf-8").splitlines()]
    model = kneser_ney.estimate(sentences, options.order, options.prune)
    arpa.write_arpa(options.out, model)
    print(f"{len(sentences)} sentences, {len(model.words)} words, {model.trie.word.size - 1} sequences, longest {model.order}")


if __name__ == "__main__":
    main()
