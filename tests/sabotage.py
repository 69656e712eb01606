"""Break the code on purpose, one way at a time, in a temporary copy, and see which test notices.

    python tests/sabotage.py [--all] [NAME ...]

The copy holds the foundations (checks, numerics and their tests), whose rules are those of every room. Rules about rooms
that it lacks fail from the start, which is printed and does not count.
Prints for each sabotage the first pass that catches it (with --all, every pass) and the tests that failed there. Exits
with 1 if any survives, so a guard that stopped guarding is found. Run it by hand after changing the twins' or the house's
tests; it takes minutes.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from house import ROOT, files

PASSES = {  # name: (environment, tests)
    "house": ({}, ["tests/test_house.py"]),
    "compiled": ({}, ["tests/test_twins.py"]),
    "bounds": ({"NUMBA_BOUNDSCHECK": "1"}, ["tests/test_twins.py"]),
    "uncompiled": ({"NUMBA_DISABLE_JIT": "1"}, ["tests/test_twins.py"]),
}
COPIED = re.compile(r"refasr/(__init__|__main__|cli/__init__|errors|checks|jit|twins|numerics|numerics_fast|shipped)[.]py|"
                    r"tests/(agreement|cases|cases_numerics|conftest|house|test_house|test_twins)[.]py")
FAST, PLAIN = "refasr/numerics_fast.py", "refasr/numerics.py"
LINE_NUMBER = re.compile(r"(?<=:)\d+(?=:)")


@dataclasses.dataclass(frozen=True)
class Sabotage:
    """One way to break the code: in `file`, replace `old` (exactly one occurrence) by `new`."""

    name: str
    file: str
    old: str
    new: str


SABOTAGES = (
    Sabotage("unregistered kernel", FAST, "@twin_of(numerics.tanh, agree=BITS)\n", ""),
    Sabotage("public kernel that is no twin", FAST, "def _elementwise(",
             "@kernel\ndef exp_twice(x):\n    return x\n\n\ndef _elementwise("),
    Sabotage("dropped cast of an index", FAST, "e = F32(e)", "e = e"),
    Sabotage("dropped cast of an intermediate", FAST,
             "power = np.int32(np.int32(whole + BIAS) << MANTISSA)\n    return y * power.view(F32)",
             "power = np.int32((whole + 127) << 23)\n    return y * np.float64(power.view(F32)) * 1.0000001"),
    Sabotage("narrow sum left to the compiler", FAST,
             "np.int32(n if n == n else F32(0))\n    power = np.int32(np.int32(whole + BIAS) << MANTISSA)",
             "np.int8(n if n == n else F32(0))\n    power = np.int32(np.int32(whole + np.int8(127)) << MANTISSA)"),
    Sabotage("wrapping left to the compiler", FAST, "np.int32(np.int32(bits - SQRT_HALF_BITS) >> MANTISSA)",
             "np.int32((bits - np.int64(SQRT_HALF_BITS)) >> MANTISSA)"),
    Sabotage("mutated input", FAST, "    loop(x, out)\n", "    loop(x, out)\n    x *= F32(2)\n"),
    Sabotage("reused output buffer", FAST, "    out = np.empty_like(x)\n    loop(x, out)\n    return out",
             "    out = _elementwise.__dict__.setdefault(x.size, np.empty_like(x))\n    loop(x, out)\n    return out"),
    Sabotage("numba imported elsewhere", PLAIN, "import numpy as np\n", "import numba\nimport numpy as np\n"),
    Sabotage("reference leans on its twin", PLAIN, "    y = (polynomial(EXP",
             "    from refasr import numerics_fast\n    n = n if n.size else numerics_fast.exp(n)\n    y = (polynomial(EXP"),
    Sabotage("docstring lost a parameter", PLAIN, "    a, b : float64 [N] ", "    a : float64 [N] "),
    Sabotage("twin skips validation", FAST, '    checks.array("b", b, np.float64, a.shape)\n', ""),
    Sabotage("other error message", FAST, 'checks.array("x", x, F32, (None,))', 'checks.array("input", x, F32, (None,))'),
    Sabotage("out-of-range read", FAST, "        out[i] = tanh32(x[i])",
             "        ahead = x[i + 1]\n        out[i] = tanh32(x[i] if ahead > 0 else x[i])"),
    Sabotage("wrong tail", FAST, "    for i in range(x.size):\n        out[i] = sigmoid32(x[i])",
             "    for i in range(x.size):\n        out[i] = sigmoid32(x[i]) if i < x.size // 8 * 8 else F32(0.5)"),
    Sabotage("one operation in another order", FAST, "y = ((p * f) * z + e * LN2_LOW) - HALF * z",
             "y = (p * f) * z + (e * LN2_LOW - HALF * z)"),
    Sabotage("NaN treated as a number", FAST, "n if n == n else F32(0)", "0 if n != n or n > F32(126) else n"),
    Sabotage("wrong result type", FAST, "    _log_add(a, b, out)\n    return out",
             "    _log_add(a, b, out)\n    return out.tolist()"),
    Sabotage("fastmath on", "refasr/jit.py", "fastmath=False", "fastmath=True"),
    Sabotage("twin without cases", "tests/cases_numerics.py", "numerics.log_add", "numerics.log_sub"),
    Sabotage("stage imports the command line", PLAIN, "from refasr import checks\n", "from refasr import checks, cli\n"),
)


def copy_of(destination):
    """Copy what the foundations need: the smaller the copy, the sooner each pass is done. Parameters: destination (Path)."""
    for path in files():
        name = str(path.relative_to(ROOT))
        if name in ("README.md", "Makefile", "setup.cfg") or COPIED.fullmatch(name):
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def apply(sabotage, copy):
    """Edit the copy. Parameters: sabotage, copy (Path). Returns the file's former text."""
    path = copy / sabotage.file
    text = path.read_text(encoding="utf-8")
    if text.count(sabotage.old) != 1:
        found = f"got {text.count(sabotage.old)} places in {sabotage.file}"
        raise SystemExit(f"{sabotage.name}: {found}, expected 1; mend this script")
    path.write_text(text.replace(sabotage.old, sabotage.new), encoding="utf-8")
    return text


def failures(copy, name):
    """Run one pass in the copy.

    Parameters
    ----------
    copy : Path    The copy of the repository.
    name : str     Which of PASSES.

    Returns
    -------
    set of (test, message)    Tests that failed; the program's exit code if it died without saying.
    """
    extra, tests = PASSES[name]
    environment = {**os.environ, "PYTHONPATH": str(copy), "REFASR_CACHE_DIR": str(copy / "cache"), "PYTHONHASHSEED": "0", **extra}
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True)
    cases = xml.etree.ElementTree.parse(report).iter("testcase") if report.exists() else []
    found = {(case.get("name"), LINE_NUMBER.sub("", "".join(result.itertext()))) for case in cases for result in case
             if result.tag in ("failure", "error")}
    return found or ({(f"exit code {run.returncode}", "")} if run.returncode else set())


def tests_of(failed):
    """Names for a line of output. Parameters: failed (set of (test, message)). Returns str."""
    return ", ".join(sorted({test for test, _ in failed}))


def main(arguments):
    """Run the named sabotages, or all. Parameters: arguments. Returns the exit code."""
    every_pass, names = "--all" in arguments, [word for word in arguments if word != "--all"]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        copy_of(copy)
        before = {name: failures(copy, name) for name in PASSES}
        for name, failed in before.items():
            print(f"without sabotage, {name}: {tests_of(failed) or 'nothing fails'}", flush=True)
        for sabotage in [item for item in SABOTAGES if not names or item.name in names]:
            text = apply(sabotage, copy)
            caught = []
            for name in PASSES:
                failed = failures(copy, name) - before[name]
                if failed:
                    caught.append(f"{name}: {tests_of(failed)}")
                    if not every_pass:
                        break
            (copy / sabotage.file).write_text(text, encoding="utf-8")
            print(f"{sabotage.name}: {'; '.join(caught) or 'SURVIVED'}", flush=True)
            survivors += [] if caught else [sabotage.name]
    print(f"{len(survivors)} survived: {', '.join(survivors)}" if survivors else "none survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
