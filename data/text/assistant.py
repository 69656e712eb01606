"""Write the text that the language models learn from: what people say to an assistant.

    python data/text/assistant.py OUT --tools DIR --speech DIR --names data/synthesis/names.txt

OUT receives `assistant.txt`, a sentence a line, and `transcripts.txt`, only what the recogniser itself heard in training: the
model of its own expectations (see docs/second-pass.md, "density ratio") learns from that. TOOLS holds `grammar.py`, SPEECH the
manifests (data/README.md).

    share       what
    70,000      sentences of the grammar of commands
    12,000      carrier phrases with given names of `names.txt`
     6,000      random words, as the recogniser also has to hear what no grammar would say
     each       transcript of the rows with split=train, single words at most 40 times

Left out, so that nothing learned here was taken from a test: dev and test transcripts; every generated sentence of four words or
more that equals one of them; every sentence with a name that is reserved for the test of personal names. All sampling is
seeded, and a second run writes the same bytes.
"""

import argparse
import collections
import csv
import pathlib
import random
import sys

SEED = 20261125
N_GRAMMAR, N_NAMES, N_RANDOM, MOST_OF_A_WORD, LEAST_EQUAL = 70_000, 12_000, 6_000, 40, 4
CARRIERS = ("call {}", "text {}", "phone {} at home", "message {} that i'm late", "is {} there", "ask {} about {}",
            "play {} by {}", "remind {} to call {}", "add {} to the list", "tell {} good night", "when did {} call",
            "send this to {}", "how do you spell {}", "turn on {}", "call {} on mobile", "read the last message from {}",
            "send a message to {}")


def rows_of(speech):
    """Transcripts. Parameters: speech (Path). Yields (split, words)."""
    for name in ("recorded.tsv", "synthetic.tsv"):
        with open(speech / name, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row["text"].strip():
                    yield row["split"], tuple(row["text"].lower().split())


def transcripts_of(rows):
    """Training sentences; a word alone, which was recorded by hundreds of people, is not said hundreds of times as often."""
    seen, found = collections.Counter(), []
    for split, words in rows:
        seen[words] += 1
        if split == "train" and (len(words) > 1 or seen[words] <= MOST_OF_A_WORD):
            found.append(words)
    return found


def generated(grammar, transcripts, names):
    """Sentences of the grammar, with names, of random words. Parameters: grammar (module), transcripts, names. Yields words."""
    for _, text in grammar.sample(N_GRAMMAR, SEED, grammar.KINDS2):
        yield tuple(text.split())
    rng, vocabulary = random.Random(SEED), sorted({word for words in transcripts for word in words})
    for _ in range(N_NAMES):
        carrier = rng.choice(CARRIERS)
        chosen = [" ".join(rng.sample(names, rng.choice((1, 1, 2)))) for _ in range(carrier.count("{}"))]
        yield tuple(carrier.format(*chosen).split())
    for _ in range(N_RANDOM):
        yield tuple(rng.choice(vocabulary) for _ in range(rng.randint(1, 8)))


def write(path, sentences):
    """A sentence a line, all or nothing. Parameters: path, sentences."""
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(" ".join(words) + "\n" for words in sentences), encoding="utf-8")
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    for name in ("tools", "speech", "names"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    options = parser.parse_args()
    sys.path.insert(0, str(options.tools))
    import grammar
    rows = list(rows_of(options.speech))
    reserved = {word for name in grammar.NAMES_UNSEEN + grammar.DEVICES_UNSEEN for word in name.split()}
    kept_back = {words for split, words in rows if split != "train" and len(words) >= LEAST_EQUAL}
    names = [name for name in options.names.read_text(encoding="utf-8").split() if name not in reserved]
    transcripts = [words for words in transcripts_of(rows) if not reserved & set(words)]
    made = [words for words in generated(grammar, transcripts, names) if words not in kept_back and not reserved & set(words)]
    everything = transcripts + made
    random.Random(SEED).shuffle(everything)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "transcripts.txt", transcripts)
    write(options.out / "assistant.txt", everything)


if __name__ == "__main__":
    main()
