"""refasr train: train a transducer from a configuration, or show in a minute that training works."""

import os
import sys

HELP = "train a network from a TOML configuration"
EPILOG = """examples:
  refasr train data/training/float.toml          train, or go on from the last checkpoint
  refasr train data/training/float.toml --steps 200 --json
  refasr train --smoke                           a small network learns spoken digits in about a minute

A run can be stopped at any time, even by kill -9; the same command goes on from the last checkpoint and gives
the same weights, bit for bit. The work folder named in the configuration receives checkpoints, log.jsonl and model.npz.
"""
SMOKE_LIMIT = 0.5  # word error rate on voices never heard that shows that learning works


def add_arguments(parser):
    """Declare options. Parameters: parser."""
    parser.add_argument("config", nargs="?", help="training configuration (TOML)")
    parser.add_argument("--smoke", action="store_true", help="train on the shipped digits; exit 1 if nothing is learned")
    parser.add_argument("--work", help="folder for checkpoints, log and model (overrides the configuration)")
    parser.add_argument("--steps", type=int, help="number of steps (overrides the configuration)")
    parser.add_argument("--threads", type=int, default=2, help="shards worked on at once; no effect on the result (default 2)")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast")
    parser.add_argument("--json", action="store_true", help="print each log line as JSON on stdout")


def run(options):
    """Train. Parameters: options. Returns the exit code."""
    if options.smoke == (options.config is not None):
        options.refuse("give either a configuration or --smoke")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before NumPy loads: shards are the parallelism
    if options.smoke:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            return train(options, options.work or folder)
    return train(options, options.work)


def configured(options, work):
    """Read the configuration and apply the options. Parameters: options, work. Returns a TrainConfig."""
    import dataclasses

    from refasr.shipped import data_path
    from refasr.train.config import read_config

    config = read_config(data_path("smoke", "smoke.toml") if options.smoke else options.config)
    if work:
        config = dataclasses.replace(config, work=os.path.abspath(work))
    if options.steps:
        config = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, steps=options.steps))
    return config


def train(options, work):
    """Run to the end and judge a smoke run. Parameters: options, work. Returns the exit code."""
    from refasr.cli.progress import Progress
    from refasr.train import run as training

    config = configured(options, work)
    trainer = training.prepare(config, options.backend, options.threads, lambda files: Progress(files, "recording"))
    last = {}

    def steps(first):
        return Progress(range(first, config.schedule.end()), "step")

    def report(line):
        last.update(line)
        print_line(line, options.json)

    training.follow(trainer, report, steps)
    rates = last.get("wer", {})
    if not options.smoke:
        return 0
    learned = bool(rates) and max(rates.values()) <= SMOKE_LIMIT
    print(f"smoke: word error rate {rates}, {'learned' if learned else f'expected at most {SMOKE_LIMIT}'}", file=sys.stderr)
    return 0 if learned else 1


def print_line(line, as_json):
    """Show one log line. Parameters: line, as_json."""
    import json

    if as_json:
        print(json.dumps(line), flush=True)
        return
    rates = "  ".join(f"{name} {rate:.3f}" for name, rate in line.get("wer", {}).items())
    figures = f"step {line['step']}"
    if "loss" in line:
        figures += f"  epoch {line['epoch']}  loss/label {line['loss']:.3f}  {line['s_per_step']:.2f} s/step"
    print(figures + (f"  WER: {rates}" if rates else ""), flush=True)
