"""The command line: one file a sub-command, thin: parse, call the library, print.

`refasr/cli/NAME.py` defines

    HELP                     one line, a plain string: read from the file's text, so that `--help` imports nothing
    EPILOG                   examples, shown after the options
    add_arguments(parser)    declare options and operands
    run(options)             do it; return the exit code: 0 done, 1 a check or an input failed

Results go to stdout, progress and notices to stderr. A `RefasrError` becomes one line on stderr and exit code 1;
`options.refuse(message)` reports a wrong combination of options, with exit code 2.
"""

import argparse
import ast
import importlib
import os
import pathlib
import sys

from refasr import __version__
from refasr.errors import RefasrError

ORDER = ("transcribe", "listen", "evaluate", "info", "align", "lattice", "second-pass", "features", "plot", "trace",
         "pack", "unpack", "hw", "train", "label")
FOLDER = pathlib.Path(__file__).resolve().parent
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + signal number, as a shell reports them
EPILOG = """examples:
  refasr transcribe recording.wav
  refasr transcribe --help
"""


def commands():
    """Names of the sub-commands that exist, in the order of `--help`."""
    return tuple(name for name in ORDER if (FOLDER / f"{module_of(name)}.py").exists())


def module_of(name):
    """Name of a sub-command's module. Parameters: name. Returns str."""
    return name.replace("-", "_")


def help_line(name):
    """The HELP string of a sub-command, without importing it. Parameters: name. Returns str."""
    for node in ast.parse((FOLDER / f"{module_of(name)}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["HELP"]:
            return ast.literal_eval(node.value)
    return ""


def parser_for(chosen):
    """Build the parser; only the chosen sub-command is imported and declares its options.

    Parameters
    ----------
    chosen : str or None    Name of a sub-command; any other text leaves all of them bare.

    Returns
    -------
    argparse.ArgumentParser
    """
    style = dict(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    top = argparse.ArgumentParser("refasr", description="An executable specification of speech recognition.",
                                  epilog=EPILOG, **style)
    top.add_argument("--version", action="version", version=f"refasr {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error; may stand anywhere")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands():
        module = importlib.import_module(f"refasr.cli.{module_of(name)}") if name == chosen else None
        line = help_line(name)
        parser = subparsers.add_parser(name, help=line, description=line, epilog=module and module.EPILOG, **style)
        if module:
            module.add_arguments(parser)
            parser.set_defaults(run=module.run, refuse=parser.error)
    return top


def complain(message):
    """Print one line on stderr. Parameters: message. Returns exit code 1."""
    print("refasr:", " ".join(str(message).splitlines()), file=sys.stderr)
    return 1


def explain(error):
    """Say in one line what went wrong. Parameters: error (an exception). Returns exit code 1."""
    if isinstance(error, RefasrError):
        return complain(error)
    if isinstance(error, OSError):
        return complain(f"{error.filename}: {error.strerror}" if error.filename else error)
    return complain(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it")


def main(arguments=None):
    """Entry point: run one sub-command and turn failures into a line and an exit code.

    Parameters
    ----------
    arguments : list of str or None    Without the program's name; None takes them from the process.

    Returns
    -------
    int                                0 done, 1 failed; wrong usage leaves through SystemExit with 2.
    """
    given = sys.argv[1:] if arguments is None else arguments
    arguments = [word for word in given if word != "--debug"]  # wherever it stands, also after a sub-sub-command
    try:
        options = parser_for(next((word for word in arguments if not word.startswith("-")), None)).parse_args(arguments)
        code = options.run(options)
        sys.stdout.flush()  # here, so that a reader who left is noticed inside the try
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at exit
        return BROKEN_PIPE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except Exception as error:
        if "--debug" in given:
            raise
        return explain(error)
