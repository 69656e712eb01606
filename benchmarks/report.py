"""Choose benchmarks, run them, print a table or JSON."""

import argparse
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys

import refasr
from benchmarks import harness, roofline

FOLDER = pathlib.Path(__file__).parent
OURS = ("fast", "reference", "limit")
LIBRARIES = ("numpy", "numba", "scipy")
SCALES = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
          "bytes": ((1e6, "MB"), (1e3, "kB"), (1.0, "B")), "bytes/s": ((1e9, "GB/s"),), "1/s": ((1e9, "G/s"),)}


def names():
    """Benchmarks that exist. Returns a list of str."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def commit():
    """The commit that is checked out, with a plus if files differ from it. Returns str."""
    git = ["git", "-C", str(FOLDER), "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@functools.cache
def version(contestant):
    """Version of refasr, or of the library whose name the contestant begins with. Parameters: contestant. Returns str."""
    if contestant in OURS:
        return f"refasr {refasr.__version__}"
    parts = contestant.split("-")
    for n in range(len(parts), 0, -1):
        name = "-".join(parts[:n])
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def machine():
    """Processor, core, Python and libraries, in one line. Returns str."""
    model = platform.processor() or platform.machine()
    if pathlib.Path("/proc/cpuinfo").exists():
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    core = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "any"
    libraries = " ".join(version(name) for name in LIBRARIES)
    return f"{model}, core {core}, one thread, Python {platform.python_version()} {libraries}, load {os.getloadavg()[0]:.1f}"


def shown(value, unit):
    """A value in a unit that reads well. Parameters: value, unit. Returns str."""
    for scale, name in SCALES.get(unit, ()):
        if abs(value) >= scale:
            return f"{value / scale:.4g} {name}"
    return f"{value:.4g} {unit}"


def print_rows(rows):
    """Print rows as tables, one a case. Parameters: rows."""
    case, titles = None, ("median", "minimum", "computing", "ratio", "of limit")
    for row in rows:
        if row["case"] != case:
            case = row["case"]
            print(f"\n{row['bench']}  {case}\n  {'':<24}" + "".join(f"{title:>12}" for title in titles))
        if row["value"] is None:
            print(f"  {row['contestant']:<24}{'FAILED: ' + row['failed'] if 'failed' in row else 'skipped: ' + row['skipped']}")
            continue
        least, computing = (shown(row[key], row["unit"]) if key in row else "" for key in ("minimum", "computing"))
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        share = f"{row['limit_fraction']:.1%}" if "limit_fraction" in row else ""
        cells = (shown(row["value"], row["unit"]), least, computing, ratio, share)
        print(f"  {row['contestant']:<24}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def main(arguments):
    """Run what is asked for.

    Parameters
    ----------
    arguments : list of str    Of the command line.

    Returns
    -------
    int                        1 if contestants disagree, else 0.
    """
    parser = argparse.ArgumentParser("python -m benchmarks", description="Speed, beside rivals and the machine's limit.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(names())}, roofline")
    parser.add_argument("--json", action="store_true", help="print one list of rows instead of tables")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {*names(), "roofline"}
    if unknown:
        parser.error(f"got {sorted(unknown)[0]!r}, expected some of {', '.join(names())}, roofline")
    rows, revision = [], commit()
    out = sys.stderr if options.json else sys.stdout
    print(f"refasr {refasr.__version__} commit {revision}; {machine()}", file=out, flush=True)
    chosen = options.names or [*names(), "roofline"]
    for name in chosen:
        for part in [roofline.rows()] if name == "roofline" else harness.run(name, roofline.limit_seconds):
            rows += [row | {"commit": revision, "version": version(row["contestant"])} for row in part]
            if not options.json:
                print_rows(part)
    if options.json:
        print(json.dumps(rows, indent=1))
    return 1 if any("failed" in row for row in rows) else 0
