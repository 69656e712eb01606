"""The settings of a run, kept beside its checkpoints, so that a run is not resumed with other ones by mistake."""

import dataclasses
import hashlib
import json

from refasr.errors import FormatError
from refasr.whole_file import whole_file

NAME = "settings.json"
# These change what is written down or when it ends, never a weight.
NEUTRAL = {"folder", "name", "work", "evaluate", "evaluate_every", "log_every", "checkpoint_s"}


def settings_of(config):
    """All settings that decide the weights.

    Parameters
    ----------
    config : TrainConfig

    Returns
    -------
    dict                    As JSON would give it back; a teacher is told by its bytes.
    """
    values = {key: value for key, value in dataclasses.asdict(config).items() if key not in NEUTRAL}
    values["schedule"].pop("stop")
    if config.distil is not None:
        values["distil"]["sha256"] = hashlib.sha256(config.path(config.distil.teacher).read_bytes()).hexdigest()
    return json.loads(json.dumps(values))


def changes(old, new, place=""):
    """Where two settings differ; a key that the old ones do not know is no difference.

    Parameters
    ----------
    old, new : dict, list or scalar
    place : str                        Where they are.

    Returns
    -------
    list of str                        Each names the place, what it was and what it is.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in new if key in old for line in changes(old[key], new[key], f"{place}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for i, pair in enumerate(zip(old, new)) for line in changes(*pair, f"{place}[{i}]")]
    return [] if old == new else [f"{place} was {old!r:.60} and is {new!r:.60}"]


def keep_settings(folder, config, resuming):
    """Write the settings of a new run, or compare those of a resumed one.

    Parameters
    ----------
    folder : Path           With the checkpoints.
    config : TrainConfig
    resuming : bool         Whether there is a checkpoint.

    Raises
    ------
    FormatError             If a setting that decides the weights was changed, naming it.
    """
    path, new = folder / NAME, settings_of(config)
    if resuming and path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FormatError(f"{path}: not JSON: {error}; delete it to resume without comparing") from error
        found = changes(old, new)
        if found:
            raise FormatError(f"{path}: got a changed configuration ({'; '.join(found[:3])}), expected the one that the run "
                              "began with; change it back or use another work folder")
        return
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(new, indent=1) + "\n")
