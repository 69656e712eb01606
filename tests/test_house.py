"""The rules of the house, read off the syntax trees. Each test lists every offence, so that one run tells all."""

import ast
import graphlib
import io
import re
import sys
import tokenize

import pytest
from house import (FUNCTIONS, PACKAGE, RAW, ROOT, documented, dotted, fast_files, files, imports, length, modules, name_of,
                   package_files, parameters, place, plain_files, public_definitions, setup, tree)

LINES_A_FILE, LINES_A_FUNCTION, COLUMNS = 300, 55, 130
REPOSITORY_BYTES, MODEL_BYTES = 60_000_000, 25_000_000
RAW_MEMORY = {"refasr.simd", "refasr.simd_int8", "refasr.simd_gaps"}
RUNTIME = {"numpy", "scipy", "soundfile", "refasr"}
PROTOCOL = {"add_arguments", "run"}  # every sub-command has them; refasr/cli/__init__.py says what they are

# Imports run from a higher to a lower or equal number; a room that is not named is a stage.
STAGE = 2
LAYERS = {"errors": 0, "checks": 0, "twins": 0, "jit": 0, "simd": 0, "simd_int8": 0, "simd_gaps": 0, "shipped": 0, "config": 0,
          "numerics": 1, "numerics_fast": 1, "nn": 1, "session": 3, "train": 3, "kit": 3, "plot": 3, "cli": 4, "__main__": 4}
LAYER_NAMES = ("ground", "arithmetic", "stages", "assemblies", "command line")

# Written so that they do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|root|home|opt|Users)/\w")
REGISTRY = re.compile(r"(?:pypi|pythonhosted|download[.]pytorch|npmjs|deb[.]debian|anaconda)[.](?:org|com)", re.IGNORECASE)


def report(offences):
    """Fail with one line an offence. Parameters: offences."""
    if offences:
        pytest.fail("\n".join([f"{len(offences)} against this rule:", *offences]), pytrace=False)


def layer(name):
    """Layer of a module. Parameters: name (dotted). Returns int."""
    return LAYERS.get(name.split(".")[1], STAGE)


def test_files_were_found():
    assert {"refasr.twins", "refasr.numerics", "refasr.numerics_fast", "refasr.cli"} <= set(modules())


def test_fast_module_stands_beside_its_reference():
    report([place(path) for path in fast_files() if not path.with_name(path.name.replace("_fast.py", ".py")).exists()])


def test_public_function_of_a_fast_module_is_a_twin_or_a_scalar():
    offences = []
    for path in fast_files():
        for node in tree(path).body:
            if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
                if not {"twin_of", "scalar"} & set(map(name_of, node.decorator_list)):
                    offences.append(f"{place(path, node)}: {node.name} is neither a twin nor a scalar; register it or hide it")
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and "kernel" in name_of(node.value):
                offences.append(f"{place(path, node)}: a kernel made by assignment escapes these rules; use the decorator")
    report(offences)


def test_numba_is_imported_by_jit_only():
    offences = []
    for path in files(".py"):
        strings = [(node.value, node) for call in ast.walk(tree(path)) if isinstance(call, ast.Call) and "import" in name_of(call)
                   for node in call.args if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        for name, node in imports(path) + strings:
            if name.split(".")[0] in ("numba", "llvmlite") and path != PACKAGE / "jit.py":
                offences.append(f"{place(path, node)}: imports {name}; use refasr.jit")
    report(offences)


def test_plain_module_imports_neither_twins_nor_jit():
    report([f"{place(path, node)}: imports {name}; take the implementation from twins.select(...)" for path in plain_files()
            for name, node in imports(path) if name.endswith("_fast") or name in RAW_MEMORY | {"refasr.jit"}])


def test_raw_memory_is_touched_where_listed_only():
    users_of = lambda names: {dotted(path) for path in package_files() for name, _ in imports(path) if name in names}
    direct = users_of(RAW_MEMORY) - RAW_MEMORY
    assert direct <= RAW <= direct | users_of(direct), "through a kernel of another module, too"


def test_only_the_runtime_packages_are_imported():
    offences = []
    for path in package_files():
        for name, node in imports(path):
            top = name.split(".")[0]
            if top not in RUNTIME | set(sys.stdlib_module_names) and path.name != "jit.py":
                offences.append(f"{place(path, node)}: imports {top}; use checks.extra({top!r}, ...) and an extra of setup.cfg")
    report(offences)


def test_optional_package_is_in_the_extra_that_is_named():
    extras, offences = setup()["options.extras_require"], []
    for path in package_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and name_of(node) == "extra" and {type(arg) for arg in node.args} == {ast.Constant}:
                module, name = (arg.value for arg in node.args)
                if module.split(".")[0].replace("_", "-") not in extras.get(name, ""):
                    offences.append(f"{place(path, node)}: {module} is not in the extra {name}")
    report(offences)


def test_imports_run_downward():
    offences = []
    for path in package_files():
        own = dotted(path)
        for name, node in imports(path):
            if name.startswith("refasr.") and own != "refasr" and layer(name) > layer(own):
                offences.append(f"{place(path, node)}: {LAYER_NAMES[layer(own)]} import {name} of {LAYER_NAMES[layer(name)]}")
    report(offences)


def test_imports_make_no_circle():
    known = set(modules()) - {"refasr"}
    graph = {name: known & {used for used, _ in imports(path)} - {name} for name, path in modules().items()}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_public_definition_has_a_docstring():
    offences = []
    for path in package_files():
        if ast.get_docstring(tree(path)) is None:
            offences.append(f"{place(path)}: the module has no docstring")
    for path in plain_files():
        for node, _ in public_definitions(path):
            if ast.get_docstring(node) is None and not (path.parent.name == "cli" and node.name in PROTOCOL):
                offences.append(f"{place(path, node)}: {node.name} has no docstring")
    report(offences)


def test_docstring_parameters_equal_the_signature():
    offences = []
    for path in package_files():
        for node, owner in public_definitions(path):
            claimed = documented(node)
            if isinstance(node, ast.ClassDef):
                makers = [child for child in node.body if isinstance(child, FUNCTIONS) and child.name == "__init__"]
                fields = [child.target.id for child in node.body if isinstance(child, ast.AnnAssign)]
                actual = parameters(makers[0], node) if makers else fields
                wrong = claimed is not None and claimed != actual
            else:
                actual = parameters(node, owner)
                inherits = path in fast_files() or (path.parent.name == "cli" and node.name in PROTOCOL)
                wrong = claimed != actual and not (claimed is None and (not actual or inherits))
            if wrong:
                offences.append(f"{place(path, node)}: {node.name} has {actual}, its docstring {claimed}")
    report(offences)


def test_files_and_functions_are_short():
    offences = []
    for path in files(".py"):
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        if n_lines > LINES_A_FILE:
            offences.append(f"{place(path)}: {n_lines} lines, at most {LINES_A_FILE}; split it")
        for node in ast.walk(tree(path)):
            if isinstance(node, FUNCTIONS) and length(node) > LINES_A_FUNCTION:
                offences.append(f"{place(path, node)}: {node.name} has {length(node)} lines, at most {LINES_A_FUNCTION}")
    report(offences)


def test_lines_are_narrow_enough():
    report([f"{place(path)}:{i}: {len(line)} columns" for path in files(".py")
            for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > COLUMNS])


def test_no_assert_and_no_print_in_the_package():
    offences = []
    for path in package_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Assert):
                offences.append(f"{place(path, node)}: assert vanishes under -O; raise an error of refasr.errors")
            if isinstance(node, ast.Call) and name_of(node) == "print" and path.parent.name != "cli":
                offences.append(f"{place(path, node)}: print belongs to the command line; return or yield the text")
    report(offences)


def test_fastmath_is_off():
    report([place(path, node.value) for path in files(".py") for node in ast.walk(tree(path)) if isinstance(node, ast.keyword)
            and node.arg == "fastmath" and getattr(node.value, "value", None) is not False])


def test_private_function_is_used():
    anywhere = set()
    for path in files(".py"):
        for node in ast.walk(tree(path)):
            anywhere |= {node.attr} if isinstance(node, ast.Attribute) else {node.name} if isinstance(node, ast.alias) else set()
    offences = []
    for path in package_files():
        here = {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        for node in tree(path).body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name.startswith("_") and not node.name.startswith("__"):
                if node.name not in here | anywhere:
                    offences.append(f"{place(path, node)}: {node.name} is not used; delete it")
    report(offences)


def offered(path):
    """Names in `__all__`. Parameters: path. Returns a set."""
    return {name for node in tree(path).body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for name in ast.literal_eval(node.value)}


def test_import_is_used():
    offences = []
    for path in files(".py"):
        here = {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)} | offered(path)
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and path.name not in ("__init__.py", "jit.py"):
                names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
                offences += [f"{place(path, node)}: {name} is imported and not used" for name in names if name not in here]
    report(offences)


def test_identifiers_are_ascii_and_strings_double_quoted():
    offences = []
    for path in files(".py"):
        depth = 0  # inside an f-string (its own tokens since Python 3.12) the other quote may be needed
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            depth += {"FSTRING_START": 1, "FSTRING_END": -1}.get(tokenize.tok_name[token.type], 0)
            bare = token.string.lstrip("rRbBuUfF")
            if token.type == tokenize.NAME and not token.string.isascii():
                offences.append(f"{place(path)}:{token.start[0]}: {token.string} is not ASCII")
            if token.type == tokenize.STRING and depth == 0 and bare.startswith("'") and '"' not in bare:
                offences.append(f"{place(path)}:{token.start[0]}: {token.string[:20]}; use double quotes")
    report(offences)


def test_names_of_files_say_something():
    report([place(path) for path in files(".py") if path.stem in ("utils", "util", "core", "misc", "helpers", "common")])


def test_no_machine_path_and_no_registry_address():
    offences = []
    for path in files():
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        for i, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                offences.append(f"{place(path)}:{i}: {line.strip()[:100]}")
    report(offences)


def test_repository_is_small():
    assert sum(path.stat().st_size for path in files()) < REPOSITORY_BYTES
    assert sum(path.stat().st_size for path in files() if ROOT / "data" / "models" in path.parents) < MODEL_BYTES


def test_setup_lists_every_room():
    rooms = {dotted(path.parent / "__init__.py") for path in package_files()}
    listed = set(setup()["options"]["packages"].split()) - {"refasr.data"}
    assert listed ^ rooms == set()
    assert [name for name in rooms if name not in modules()] == []  # a folder without __init__.py


def test_readme_names_what_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert [name for name in re.findall(r"make ([\w-]+)", text) if name not in targets] == []
    assert [name for name in re.findall(r"\]\(([\w./-]+)\)", text) if not (ROOT / name).exists()] == []
