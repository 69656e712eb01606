"""The command line of the claims: train what is missing, append, report."""

import argparse
import dataclasses
import json
import pathlib
import sys
import time

import numpy as np

from benchmarks.claims import report, sets
from benchmarks.claims.journal import Journal
from benchmarks.claims.plan import FOLDER, Plan, arms_of, in_order
from benchmarks.claims.scoring import Examination
from benchmarks.claims.training import Workshop
from benchmarks.report import commit
from refasr import corpus
from refasr.errors import RefasrError
from refasr.train.settings_file import NEUTRAL
from refasr.train.sparsify import sparsities

WORK = FOLDER.parents[1] / "work" / "claims"
COMMITTED = FOLDER / "results.jsonl"
EPILOG = """examples:
  python -m benchmarks.claims                              all claims, three seeds; stopped, the same command goes on
  python -m benchmarks.claims zeros-50 quantised-8         two claims
  python -m benchmarks.claims --seeds 1 --out quick.jsonl  one seed: its spread is then not in the intervals
  python -m benchmarks.claims --report --json              what the committed results say, as a list of rows

A line is appended for each finished arm; a finished arm is not made again. An arm of which a setting changed is another arm.
"""


def parser_of(plan):
    """The options. Parameters: plan. Returns an ArgumentParser."""
    parser = argparse.ArgumentParser("python -m benchmarks.claims", description="Try the article's claims about small models.",
                                     epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(plan.claims)}")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (default 3)")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE",
                        help="results file (default work/claims/results.jsonl; with --report that of the repository)")
    parser.add_argument("--report", action="store_true", help="train nothing: only say what the file holds")
    parser.add_argument("--json", action="store_true", help="print a list of rows instead of tables")
    return parser


def main(arguments):
    """Run the command. Parameters: arguments (list of str). Returns the exit code."""
    try:
        plan = Plan()
        parser = parser_of(plan)
        options = parser.parse_args(arguments)
        unknown = sorted(set(options.names) - set(plan.claims))
        if unknown:
            parser.error(f"got {unknown[0]!r}, expected some of {', '.join(plan.claims)}")
        if options.seeds < 1:
            parser.error(f"--seeds: got {options.seeds}, expected 1 or more")
        names = options.names or list(plan.claims)
        journal = Journal(options.out or (COMMITTED if options.report else WORK / "results.jsonl"))
        if not options.report:
            if not sets.SPEECH.is_dir():
                say("skipped: the folder ../shared is not here: it holds recordings that the repository does not ship")
            else:
                run(plan, journal, names, options.seeds, WORK, sets.deal(plan.sets), say)
        show(report.rows(plan, journal, names, options.seeds), options.json)
    except RefasrError as error:
        print(f"benchmarks.claims: {error}", file=sys.stderr)
        return 1
    return 0


def say(line):
    """Tell how far it is. Parameters: line."""
    print(line, file=sys.stderr, flush=True)


def show(rows, as_json):
    """Print the report. Parameters: rows, as_json."""
    for line in [json.dumps(rows, indent=1)] if as_json else report.table(rows):
        print(line)


def run(plan, journal, names, n_seeds, folder, parts, tell):
    """Make the arms that are missing.

    Parameters
    ----------
    plan : Plan
    journal : Journal
    names : list of str                         Claims.
    n_seeds : int
    folder : Path                               For manifests, audio, models and unfinished arms.
    parts : dict of str to list of Utterance    From `sets.deal`.
    tell : function of str
    """
    settings = shared_settings(plan, parts)
    words = np.array([len(corpus.transcript(item).split()) for item in parts["test"]], np.int64)
    journal.open(settings, words)
    sets.write(folder, parts)
    workshop = Workshop(folder)
    wanted = [arm for seed in range(1, n_seeds + 1) for arm in missing(
        [plan.arm(name, seed, settings["sets"]) for claim in names for name in arms_of(plan.claims[claim])], journal, workshop)]
    if not wanted:
        return
    makers = {maker.key for arm in wanted for maker in arm.makers()}
    revision = commit()  # of the code that is loaded now; files may change while this runs
    exams = {name: Examination(parts[name], plan.training.model.profile, workshop.backend) for name in ("choice", "test")}
    for number, arm in enumerate(wanted, 1):
        came_out = finish(arm, journal, workshop, exams, arm.key in makers, revision)
        tell(f"[{number}/{len(wanted)}] seed {arm.config.seed} {arm.name}: {came_out}")


def shared_settings(plan, parts):
    """What all arms share. Parameters: plan, parts (sets). Returns a dict."""
    training = {key: value for key, value in dataclasses.asdict(plan.training).items() if key not in {*NEUTRAL, "seed"}}
    return {"sets": plan.sets | {name: sets.fingerprint(items) for name, items in parts.items()}, "training": training,
            "fine": plan.fine}


def missing(arms, journal, workshop):
    """Arms of one seed that are still to be made, makers first. Parameters: arms, journal, workshop. Returns a list of Arm."""
    done, wanted, needed = journal.by_key(), [], set()
    for arm in reversed(in_order(arms)):
        if arm.key not in done and arm.key in {each.key for each in arms} or (
                arm.key in needed and not workshop.model_path(arm).exists()):
            wanted.append(arm)
            needed |= {maker.key for maker in arm.makers()}
    return wanted[::-1]


def finish(arm, journal, workshop, exams, keep, revision):
    """Make one arm, examine it and write it down.

    Parameters
    ----------
    arm : Arm
    journal : Journal
    workshop : Workshop
    exams : dict of str to Examination    choice and test.
    keep : bool                           Whether another arm is made from it; it is then examined as it is stored.
    revision : str                        Of the code.

    Returns
    -------
    str                                   What came out.
    """
    started = time.monotonic()
    model, figures = workshop.make(arm)
    if keep:
        model = workshop.keep(arm, model)
    choice, test = (exams[name].score(model) for name in ("choice", "test"))
    shares = sparsities(model.parameters, model.architecture)
    sizes = {name: model.parameters[name].size for name in shares}
    zeros = sum(shares[name] * sizes[name] for name in shares) / sum(sizes.values())
    if arm.key not in journal.by_key():
        journal.add({"arm": arm.name, "seed": arm.config.seed, "key": arm.key, "test": test.errors,
                     "choice": [int(choice.errors.sum()), choice.n_words], "zeros": round(zeros, 4), "s": 0.0, **figures,
                     "commit": revision})
    workshop.clear(arm)
    return (f"test {test.wer:.4f}, choice {choice.wer:.4f}, {zeros:.0%} zeros, "
            f"{figures.get('s', 0.0):.0f} s to train, {time.monotonic() - started:.0f} s in all")
