"""`refasr evaluate`: error rates of a recogniser on a manifest."""

import contextlib
import json
import sys

HELP = "recognise every utterance of a manifest and print its error rates"
EPILOG = """examples:
  refasr evaluate recorded.tsv --where source=barista
  refasr evaluate recorded.tsv --where split=dev --by source --json
  refasr evaluate kaldi_folder --limit 100 --show-errors
  refasr evaluate recorded.tsv --where source=barista --beam 1     # greedy search
  refasr evaluate large.jsonl --workers 8 --resume large.journal

MANIFEST is a TSV file (file, split, source, speaker, text, extra), NeMo or lhotse JSON lines, or a Kaldi data folder.
Rates are fractions; rtf is seconds computed a second of audio. In --show-errors, *word* was missed, +word+ was not said,
and said>heard was mistaken. An utterance that cannot be read or spelt is reported and left out, and the exit code is 1.

After an interruption the same command with --resume FILE does the rest; FILE stays. Another selection may use it too;
another model, option or version of refasr is refused. Files that changed and utterances that failed are done again.
"""


def add_arguments(parser):
    """Declare options and operands. Parameters: parser."""
    from refasr.cli import recogniser, workers
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--where", metavar="COLUMN=VALUE", action="append", default=[],
                        help="keep matching utterances; terms are ANDed")
    parser.add_argument("--by", metavar="COLUMN", help="report each value of this column apart")
    parser.add_argument("--limit", metavar="N", type=workers.positive, help="only N utterances, evenly spread over the selection")
    recogniser.add_options(parser)
    workers.add_options(parser)
    parser.add_argument("--resume", metavar="FILE", help="keep finished utterances in FILE and go on from what is in it")
    parser.add_argument("--json", action="store_true", help="print a list of objects, one a selection")
    parser.add_argument("--show-errors", action="store_true", help="print each utterance that has errors")


def groups(utterances, where, by):
    """Split a selection by a column. Parameters: utterances, where (terms), by (column or None). Returns {terms: utterances}."""
    from refasr import corpus
    if by is None:
        return {tuple(where): utterances}
    corpus.select([], [f"{by}="])  # refuses an unknown column
    values = dict.fromkeys(str(getattr(utterance, by)) for utterance in utterances)
    return {(*where, f"{by}={value}"): [item for item in utterances if str(getattr(item, by)) == value] for value in values}


def run(options):
    """Evaluate. Parameters: options. Returns the exit code."""
    from refasr import corpus, evaluate
    from refasr.cli import complain
    from refasr.errors import RangeError
    if options.json and options.show_errors:
        options.refuse("--show-errors: got --json too, expected one of them")
    chosen = corpus.select(corpus.read_manifest(options.manifest), options.where)
    if not chosen:
        wanted = f" with {' and '.join(options.where)}" if options.where else ""
        raise RangeError(f"{options.manifest}: got no utterance{wanted}, expected at least one; look at its columns")
    selections = groups(evaluate.spread(chosen, options.limit), options.where, options.by)
    failures, notices, heard = [], [], []
    with contextlib.closing(recognised(options, [item for selection in selections.values() for item in selection])) as outcomes:
        for outcome, said in outcomes:
            notices += said
            if isinstance(outcome, Exception):
                failures.append(complain(outcome))
            else:
                heard.append(outcome)
    if notices:
        print(f"refasr: {notices[0]}" + (f" (and {len(notices) - 1} more)" if notices[1:] else ""), file=sys.stderr)
    terms_of = {utterance: terms for terms, selection in selections.items() for utterance in selection}
    parts = {}
    for item in heard:
        parts.setdefault(terms_of[item.utterance], []).append(item)
    report(options, list(parts.items()))
    return 1 if failures else 0


def recognised(options, utterances):
    """Recognise. Parameters: options, utterances. Returns an iterator of (Heard or RefasrError, notices)."""
    from refasr import evaluate
    from refasr.cli.progress import Progress
    from refasr.cli import complain
    from refasr.cli.recogniser import spec_of
    from refasr.cli.workers import executor_of
    spec, progress = spec_of(options, complain), Progress(utterances, "utterance")
    journal = evaluate.open_journal(options.resume, spec) if options.resume else contextlib.nullcontext()
    with journal as finished, executor_of(options, len(utterances)) as executor:
        outcomes = evaluate.hear_corpus(spec, utterances, executor, finished)
        for _, (_, outcome, notices) in zip(progress, outcomes):
            if isinstance(outcome, Exception):
                progress.clear()
            yield outcome, notices


def report(options, parts):
    """Print the figures. Parameters: options, parts (pairs of terms and Heard)."""
    from refasr import evaluate
    if options.json:
        print(json.dumps([{"where": list(terms)} | evaluate.summarise(part) for terms, part in parts], indent=1, allow_nan=False))
        return
    for terms, part in parts:
        if options.show_errors:
            show_errors(part)
        print("\n".join(table(options, terms, evaluate.summarise(part), sum(item.audio_seconds for item in part))))


def show_errors(heard):
    """One line an utterance with errors. Parameters: heard (a list of Heard)."""
    from refasr.metrics import wer
    for item in heard:
        if item.reference.split() != item.hypothesis.split():
            print(f"{item.utterance.file}\t{wer.show(wer.alignment(item.reference, item.hypothesis))}")


def table(options, terms, figures, audio_seconds):
    """The figures for reading. Parameters: options, terms, figures, audio_seconds. Returns a list of lines."""
    from refasr.metrics import text
    low, high = figures["ci95"]
    errors = figures["substitutions"] + figures["deletions"] + figures["insertions"]
    speed = f"{figures['rtf']:.4f}, {1 / figures['rtf']:.0f} times real time" if figures["rtf"] else "no audio"
    return [f"{options.manifest} {' '.join(terms)}".rstrip(),
            f"  word error rate      {fraction(figures['wer'])}, 95 % interval {fraction(low)} to {fraction(high)}",
            f"  sentence error rate  {fraction(figures['ser'])}",
            f"  errors               {errors} in {figures['n_words']} words: {figures['substitutions']} substitutions, "
            f"{figures['deletions']} deletions, {figures['insertions']} insertions",
            f"  set                  {figures['n_utterances']} utterances, {audio_seconds:.1f} s",
            f"  real-time factor     {speed}",
            f"  model, scoring       {options.model}, {text.NAME} ({text.fingerprint()})"]


def fraction(value):
    """Parameters: value (None: no words to divide by). Returns text."""
    return "undefined" if value is None else f"{value:.4f}"
