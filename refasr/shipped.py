"""Where the files that come with refasr are: models, samples, texts.

In a checkout they are the folder `data/` beside the package; in a wheel `setup.cfg` maps that folder to `refasr/data`.
"""

import pathlib

from refasr.errors import FormatError

PACKAGE = pathlib.Path(__file__).resolve().parent
LANGUAGE_MODELS = {"default": "lm.arpa.gz"}
MODELS = {"default": ("small.refasr", "float.npz"), "float": ("float.npz",), "int8": ("int8.refasr",)}  # by name, the best first
HOMES = (PACKAGE / "data", PACKAGE.parent / "data")  # inside a wheel; in a checkout or an editable install


def data_path(*parts):
    """Path of a shipped file or folder.

    Parameters
    ----------
    *parts : str    Names below the data folder, such as "models", "float.npz".

    Returns
    -------
    Path

    Raises
    ------
    FormatError     If refasr was installed without it.
    """
    for home in HOMES:
        path = home.joinpath(*parts)
        if path.exists():
            return path
    wanted = "/".join(parts) or "data"
    raise FormatError(f"{wanted}: got no such file, expected one that is shipped; check the name, or reinstall")


def model_path(name_or_path):
    """Path of a model: a shipped one by its name, else the path itself.

    Parameters
    ----------
    name_or_path : str or Path    A key of MODELS, or a file.

    Returns
    -------
    Path

    Raises
    ------
    FormatError                   If refasr was installed without the named model.
    """
    if str(name_or_path) not in MODELS:
        return pathlib.Path(name_or_path)
    paths = [home / "models" / file for file in MODELS[str(name_or_path)] for home in HOMES]
    for path in paths:
        if path.is_file():
            return path
    return data_path("models", MODELS[str(name_or_path)][-1])  # says what is missing


def language_model_path(name_or_path):
    """Path of an n-gram model: a shipped one by its name, else the path itself. Parameters: name_or_path. Returns a Path."""
    shipped = LANGUAGE_MODELS.get(str(name_or_path))
    return pathlib.Path(name_or_path) if shipped is None else data_path("models", shipped)
