"""The only importer of Numba: two decorators, so that flags cannot drift, and a cache that cannot go stale.

Numba does not notice that a callee in another file changed, and serves a cached caller compiled without bounds
checks to a run that asked for them. So the cache folder is named by a hash of every source of the package, the
Numba version and the settings that change generated code; it is set before the first decorator runs.
"""

import hashlib
import os
import pathlib
import shutil

import numba
from llvmlite import ir  # this and the next three lines: what `simd.py` is written in
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

CODE_SETTINGS = ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "NUMBA_OPT")
FOLDERS_KEPT = 6
PACKAGE = pathlib.Path(__file__).parent


def cache_key():
    """Hash of all that decides the generated code. Returns 16 hexadecimal digits."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    for name in CODE_SETTINGS:
        digest.update(f"{name}={os.environ.get(name, '')}".encode())
    return digest.hexdigest()[:16]


def cache_folder():
    """Folder of this version's compiled kernels; REFASR_CACHE_DIR moves it. Returns a Path."""
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "refasr"
    return pathlib.Path(os.environ.get("REFASR_CACHE_DIR", default)) / cache_key()


def forget_old_caches(current):
    """Keep the most recently used folders only; each edit of the package makes a new one.

    Parameters
    ----------
    current : Path    The folder in use, never deleted.
    """
    siblings = [path for path in current.parent.iterdir() if path.is_dir() and len(path.name) == 16 and path != current]
    for path in sorted(siblings, key=lambda path: path.stat().st_mtime, reverse=True)[FOLDERS_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def use_cache_folder():
    """Point Numba at the folder; a read-only home only costs compilation time."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        forget_old_caches(folder)
    except OSError:
        return
    numba.config.CACHE_DIR = str(folder)


use_cache_folder()

FLAGS = dict(cache=True, nogil=True, error_model="numpy", fastmath=False)
kernel = numba.njit(**FLAGS)
scalar = numba.njit(forceinline=True, **FLAGS)  # building block of other kernels, always inlined
parallel_kernel = numba.njit(parallel=True, **FLAGS)
prange = numba.prange


def instruction(plain):
    """Make an intrinsic: compiled code gets the decorated function's, and uncompiled code the same in NumPy.

    Parameters
    ----------
    plain : function    What stands in for it with NUMBA_DISABLE_JIT=1.

    Returns
    -------
    decorator           For the function that Numba's `intrinsic` takes.
    """
    return lambda code: plain if numba.config.DISABLE_JIT else intrinsic(prefer_literal=True)(code)


def chosen_by_class(choose):
    """Make a function of kernels that is one of several, by the class of its first argument, a NamedTuple.

    Parameters
    ----------
    choose : function of the class    Returns the kernel that is meant; what it refers to must exist when it is first called.

    Returns
    -------
    function                          In compiled code the choice is made by the compiler.
    """

    def call(first, *rest):
        return choose(type(first))(first, *rest)

    def typed(first, *rest):
        meant = choose(first.instance_class)
        return lambda first, *rest: meant(first, *rest)

    if not numba.config.DISABLE_JIT:
        overload(call)(typed)
    return call
