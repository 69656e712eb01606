"""The command line's own manners; each sub-command is tested with what it calls."""

import importlib.util
import os
import subprocess
import sys

import pytest

import refasr
from refasr import cli

HEAVY = {"numba", "scipy", "soundfile", "matplotlib", "tqdm"}
HELP_SECONDS = 1.0
FAKE = '''
"""A sub-command that does what it is told."""
from refasr.errors import RangeError, RefasrError
HELP = "fail as asked"
EPILOG = "examples:\\n  refasr fake range"
FAILURES = {"range": RangeError("n: got 3,\\nexpected 4"), "base": RefasrError("broken"),
            "missing": FileNotFoundError(2, "No such file", "a.wav"), "bare": OSError("disk on fire"),
            "bug": KeyError("k"), "interrupt": KeyboardInterrupt()}
def add_arguments(parser):
    parser.add_argument("what")
def run(options):
    if options.what in FAILURES:
        raise FAILURES[options.what]
    if options.what == "refuse":
        options.refuse("--a and --b exclude each other")
    print("done")
    return int(options.what)
'''


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder with one sub-command, `fake`."""
    (tmp_path / "fake.py").write_text(FAKE)
    spec = importlib.util.spec_from_file_location("refasr.cli.fake", tmp_path / "fake.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "refasr.cli.fake", module)
    monkeypatch.setattr(cli, "FOLDER", tmp_path)
    monkeypatch.setattr(cli, "ORDER", ("absent", "fake"))


def exit_code(arguments):
    """What the process would exit with. Parameters: arguments. Returns int."""
    try:
        return cli.main(arguments)
    except SystemExit as error:
        return error.code


def heavy_modules(arguments):
    """Which slow imports a command makes. Parameters: arguments. Returns a set of names."""
    program = ("import sys; from refasr import cli\ntry: cli.main(sys.argv[1:])\nexcept SystemExit: pass\n"
               "print(*sys.modules, file=sys.stderr)")
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return (HEAVY | {"numpy"}) & set(run.stderr.split())


def test_help_is_quick():
    assert heavy_modules(["--help"]) == set()
    times = []
    for _ in range(3):  # processor time, so that a busy machine does not fail the test
        before = os.times()
        subprocess.run([sys.executable, "-m", "refasr", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < HELP_SECONDS


@pytest.mark.parametrize("name", cli.commands())
def test_command_keeps_the_protocol(name, capsys):
    module = importlib.import_module(f"refasr.cli.{cli.module_of(name)}")
    assert module.HELP == cli.help_line(name)
    assert len(module.HELP.splitlines()) == 1 and f"refasr {name}" in module.EPILOG
    assert exit_code([name, "--help"]) == 0
    assert module.HELP.split()[0] in capsys.readouterr().out
    assert heavy_modules([name, "--help"]) <= {"numpy"}


def test_version(capsys):
    assert exit_code(["--version"]) == 0
    assert capsys.readouterr().out == f"refasr {refasr.__version__}\n"


def test_only_existing_commands_are_offered(fake, capsys):
    assert cli.commands() == ("fake",)
    assert exit_code(["--help"]) == 0
    assert "fail as asked" in capsys.readouterr().out
    assert exit_code(["absent"]) == 2
    assert "invalid choice: 'absent'" in capsys.readouterr().err


def test_results_go_to_stdout_and_the_code_is_returned(fake, capsys):
    assert exit_code(["fake", "0"]) == 0 and exit_code(["fake", "1"]) == 1
    assert exit_code(["--debug", "fake", "0"]) == 0 and exit_code(["fake", "0", "--debug"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["done"] * 4 and captured.err == ""


@pytest.mark.parametrize("what, code, line", [
    ("range", 1, "refasr: n: got 3, expected 4"), ("base", 1, "refasr: broken"), ("missing", 1, "refasr: a.wav: No such file"),
    ("bare", 1, "refasr: disk on fire"), ("interrupt", 130, "refasr: interrupted"),
    ("bug", 1, "refasr: internal error: KeyError: 'k'; run again with --debug and report it")])
def test_failure_is_one_line(fake, capsys, what, code, line):
    assert exit_code(["fake", what]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == line + "\n"


@pytest.mark.parametrize("arguments", ["--debug fake bug", "fake --debug bug", "fake bug --debug"])
def test_debug_shows_the_traceback(fake, arguments):
    with pytest.raises(KeyError):
        cli.main(arguments.split())


@pytest.mark.parametrize("arguments", ["", "--nonsense", "nonsense", "fake", "fake 0 --nonsense", "fake refuse"])
def test_wrong_usage_exits_with_two(fake, capsys, arguments):
    assert exit_code(arguments.split()) == 2
    assert "usage: refasr" in capsys.readouterr().err


def test_reader_who_leaves_is_not_an_error(tmp_path):
    program = ("import sys, types; from refasr import cli\n"
               "cli.parser_for = lambda name: types.SimpleNamespace(parse_args=lambda a: types.SimpleNamespace(run=run))\n"
               "def run(options):\n    print('line\\n' * 100_000)\n    return 0\n"
               "sys.exit(cli.main([]))")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == cli.BROKEN_PIPE
