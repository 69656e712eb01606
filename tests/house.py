"""The sources as data: files, modules, imports, functions and what their docstrings claim. Read by test_house.py."""

import ast
import configparser
import functools
import inspect
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "refasr"
SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*) : ")
SENTENCE = re.compile(r"Parameters: ([^.]*)\.")
ASIDES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
TYPE = re.compile(r"(?:u?int|float)\d+|bool|int|float|str|Path")
PLUMBING = {"jit.py", "hints.py", "simd.py", "simd_int8.py", "simd_gaps.py"}  # the importer of Numba, and what is written with it
# Their raw loads and stores escape the bounds checks of pass three: they are listed here, and tested by test_canaries.py.
RAW = {"refasr.hw.codec_fast", "refasr.hw.gemm_fast", "refasr.hw.gemm_gaps_fast", "refasr.nn.lstm_fast",
       "refasr.nn.product_fast", "refasr.transducer.joiner_fast", "refasr.compress.integer_layer_fast"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def files(suffix=""):
    """Files whose name ends so, in git or not yet added, except those it ignores. Parameters: suffix. Returns paths."""
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, check=False)
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:  # a copy without git
        paths = [path for path in ROOT.rglob("*") if "__pycache__" not in path.parts and ".venv" not in path.parts]
    return sorted(path for path in set(paths) if path.is_file() and path.name.endswith(suffix))


def package_files():
    """The modules of refasr itself. Returns a list of Path."""
    return [path for path in files(".py") if PACKAGE in path.parents]


def fast_files():
    """The modules of twins. Returns a list of Path."""
    return [path for path in package_files() if path.stem.endswith("_fast")]


def plain_files():
    """The modules that are to be read: neither twins nor what they are built on. Returns a list of Path."""
    return [path for path in package_files() if not path.stem.endswith("_fast") and path.name not in PLUMBING]


@functools.cache
def tree(path):
    """The parsed file. Parameters: path. Returns ast.Module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path, node=None):
    """`file:line` of an offence. Parameters: path, node (or None for the whole file). Returns str."""
    return str(path.relative_to(ROOT)) + (f":{node.lineno}" if node is not None else "")


def dotted(path):
    """Module name of a file of the package. Parameters: path. Returns str."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules():
    """All modules of the package. Returns a dictionary from dotted name to Path."""
    return {dotted(path): path for path in package_files()}


def imports(path):
    """Every import, wherever in the file it stands.

    Parameters
    ----------
    path : Path    A Python file.

    Returns
    -------
    list of (dotted name, node)    `from refasr import checks` gives "refasr.checks" if that is a module, else "refasr".
    """
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = path.relative_to(ROOT).parent.parts
                base = ".".join(filter(None, [*here[:len(here) + 1 - node.level], base]))
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += [(name if name in modules() else base, node) for name in names]
    return found


def name_of(node):
    """Last part of a decorator's or called function's name. Parameters: node. Returns str."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def public_definitions(path):
    """Functions, classes and methods without a leading underscore. Parameters: path. Returns a list of (node, class or None)."""
    found = []
    for node in tree(path).body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            found.append((node, None))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found.append((node, None))
            found += [(child, node) for child in node.body if isinstance(child, FUNCTIONS) and not child.name.startswith("_")]
    return found


def parameters(node, owner):
    """Names in a signature, without self or cls. Parameters: node, owner (its class or None). Returns a list of str."""
    a = node.args
    names = [arg.arg for arg in [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg] if arg is not None]
    static = "staticmethod" in map(name_of, node.decorator_list)
    return names[1:] if owner is not None and not static else names


def documented(node):
    """Names in a docstring's Parameters.

    Parameters
    ----------
    node : definition    Function or class.

    Returns
    -------
    list of str or None    None if the docstring has no Parameters, neither as a section nor as a sentence.
    """
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    section = SECTION.search(text)
    if section:
        lines = [line for line in section.group(1).splitlines() if line and not line.startswith(" ")]
        entries = [ENTRY.match(line) for line in lines]
        names = [entry.group(1) if entry else f"<{line}>" for entry, line in zip(entries, lines)]
    else:
        sentence = SENTENCE.search(ASIDES.sub("", text.replace("\n", " ")))
        if sentence is None:
            return None
        words = [word.strip() for word in sentence.group(1).split(",")]  # "e, p, float32 [J]" and "n, the count" name e, p and n
        names = [word for word in words if word.lstrip("*").isidentifier() and not TYPE.fullmatch(word)]
    return [name.strip().lstrip("*") for entry in names for name in entry.split(",")]


def length(node):
    """Lines of a function, docstring not counted. Parameters: node. Returns int."""
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def setup():
    """The contents of setup.cfg. Returns a ConfigParser."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser
