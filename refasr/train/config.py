"""The training configuration: a TOML file, checked key by key."""

import dataclasses
import pathlib
import tomllib

from refasr.audio.augment import AugmentSettings
from refasr.errors import FormatError
from refasr.train.objective import ObjectiveSettings
from refasr.transducer.model import Architecture


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """One share of the training data.

    manifest : path, relative to the configuration file.
    where : terms `column=value`.
    copies : times each recording is heard in an epoch, augmented anew each time.
    join : up to so many recordings of one speaker are said in a row.
    least_confidence : recordings whose `extra` is `pseudo:X` with X below this are left out.
    """

    manifest: str
    where: tuple = ()
    copies: int = 1
    join: int = 1
    least_confidence: float = -1e9


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """A set that is recognised now and then during training; never trained on."""

    name: str
    manifest: str
    where: tuple = ()
    limit: int = 100


@dataclasses.dataclass(frozen=True)
class ScheduleSettings:
    """Learning rate and length, as functions of the step only.

    The rate climbs for `warmup_steps`, holds until `hold` of the way, and falls along a cosine to `final` of its peak.
    """

    steps: int = 10000
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    hold: float = 0.3
    final: float = 0.02
    clip: float = 5.0
    average_decay: float = 0.999
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True)
class BatchSettings:
    """Size of a batch, and what happens to its features.

    seconds : audio in one batch, padding counted.  utterances : the most in one batch.
    shards : independent parts whose gradients are added in order; as many threads may work.
    lead_s, trail_s, gap_s : largest silence before, after and between recordings.
    mask_bins, mask_frames : largest hole in frequency and in time (10 ms frames), from step `mask_from_step` on.
    """

    seconds: float = 120.0
    utterances: int = 64
    shards: int = 2
    lead_s: float = 0.3
    trail_s: float = 0.4
    gap_s: float = 0.3
    mask_bins: int = 0
    mask_frames: int = 0
    mask_from_step: int = 0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The whole of it. `folder` is where relative paths start; `work` receives checkpoints and the log."""

    folder: pathlib.Path
    name: str = "model"
    work: str = "work"
    seed: int = 1
    start_from: str = ""
    noise: DataSettings | None = None
    rooms: DataSettings | None = None
    data: tuple = ()
    evaluate: tuple = ()
    evaluate_every: int = 1000
    log_every: int = 50
    checkpoint_s: float = 120.0
    model: Architecture = Architecture()
    objective: ObjectiveSettings = ObjectiveSettings()
    augment: AugmentSettings = AugmentSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    batch: BatchSettings = BatchSettings()

    def path(self, relative):
        """Resolve a path of the configuration. Parameters: relative. Returns a Path."""
        return (self.folder / relative).resolve()


SECTIONS = {"model": Architecture, "objective": ObjectiveSettings, "augment": AugmentSettings, "schedule": ScheduleSettings,
            "batch": BatchSettings, "noise": DataSettings, "rooms": DataSettings}
LISTS = {"data": DataSettings, "evaluate": EvaluationSettings}


def build(kind, values, where):
    """Make a settings object from a TOML table.

    Parameters
    ----------
    kind : type      Dataclass to make.
    values : dict    The table.
    where : str      File and table, for errors.

    Returns
    -------
    object of type `kind`

    Raises
    ------
    FormatError      Naming an unknown key or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise FormatError(f"{where}: got {values!r}, expected a table")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            raise FormatError(f"{where}: got unknown key {key!r}, expected one of {', '.join(fields)}")
        default = fields[key].default
        number = isinstance(default, (int, float)) and isinstance(value, (int, float)) and not isinstance(value, bool)
        sequence = isinstance(default, tuple) and isinstance(value, list)
        if default is not dataclasses.MISSING and not (number or sequence or isinstance(value, type(default))):
            raise FormatError(f"{where}: {key}: got {value!r}, expected something like {default!r}")
        if isinstance(default, int) and isinstance(value, float):
            raise FormatError(f"{where}: {key}: got {value!r}, expected a whole number")
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        raise FormatError(f"{where}: {error}; complete the table") from error


def read_config(path):
    """Read a training configuration.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TrainConfig

    Raises
    ------
    FormatError    If the file is missing, is not TOML, or holds an unknown key or a wrong value.
    """
    path = pathlib.Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not TOML: {error}") from error
    for name, kind in SECTIONS.items():
        if name in values:
            values[name] = build(kind, values[name], f"{path} [{name}]")
    for name, kind in LISTS.items():
        if not isinstance(values.get(name, []), list):
            raise FormatError(f"{path}: {name}: got a single table, expected [[{name}]]")
        values[name] = tuple(build(kind, entry, f"{path} [[{name}]]") for entry in values.get(name, []))
    unknown = set(values) - {field.name for field in dataclasses.fields(TrainConfig)}
    if unknown:
        raise FormatError(f"{path}: got unknown key {sorted(unknown)[0]!r}, expected a key of TrainConfig")
    return TrainConfig(folder=path.parent.resolve(), **values)
