"""The training configuration: a TOML file, checked key by key."""

import dataclasses
import pathlib
import tomllib

from refasr import checks
from refasr.audio.augment import AugmentSettings
from refasr.errors import FormatError
from refasr.train import distil, quantise_aware, sparsify
from refasr.train.distil import DistilSettings
from refasr.train.examples import KEEP
from refasr.train.objective import ObjectiveSettings
from refasr.train.quantise_aware import QuantiseSettings
from refasr.train.sparsify import SparsifySettings
from refasr.transducer.model import Architecture


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """One share of the training data.

    manifest : path, relative to the configuration file.
    where : terms `column=value`.
    copies : times each recording is heard in an epoch, augmented anew each time.
    fraction : chance that a recording is heard at all in each of these times.
    final_fraction, from_step, to_step : the fraction moves in a straight line from `fraction` at from_step to final_fraction at
        to_step, so that labelled and unlabelled speech are mixed by a schedule; it is that of the step at which an epoch begins.
        left out, it stays as it is.
    join : up to so many recordings of one speaker are said in a row.
    least_confidence : recordings whose `extra` is `pseudo:X` with X below this are left out.
    """

    manifest: str
    where: tuple = ()
    copies: int = 1
    fraction: float = 1.0
    final_fraction: float = KEEP
    from_step: int = 0
    to_step: int = 0
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
    `stop` ends the run early, at that step, for a next stage to go on from; 0 lets it run to `steps`.
    """

    steps: int = 10000
    stop: int = 0
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    hold: float = 0.3
    final: float = 0.02
    clip: float = 5.0
    average_decay: float = 0.999
    weight_decay: float = 0.0

    def end(self):
        """The step after which the run is over."""
        return min(self.steps, self.stop or self.steps)


@dataclasses.dataclass(frozen=True)
class BatchSettings:
    """Size of a batch, and what happens to its features.

    seconds : audio in one batch, padding counted.  utterances : the most in one batch.
    shards : independent parts whose gradients are added in order; as many threads may work.
    lead_s, trail_s, gap_s : largest silence before, after and between recordings.
    cross_join : chance that a row of at most `cross_join_s` seconds is paired with a row of any other source.
    mask_bins, mask_frames : largest hole in frequency and in time (10 ms frames), from step `mask_from_step` on.
    """

    seconds: float = 120.0
    utterances: int = 64
    shards: int = 2
    lead_s: float = 0.3
    trail_s: float = 0.4
    gap_s: float = 0.3
    cross_join: float = 0.0
    cross_join_s: float = 5.0
    mask_bins: int = 0
    mask_frames: int = 0
    mask_from_step: int = 0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The whole of it. `folder` is where relative paths start; `work` receives checkpoints and the log. `start_from` is a model
    of the same sizes, or the work folder of another run, whose averaged weights are taken as they are, not rounded.

    Tables: [model], [objective], [augment], [schedule], [batch], [noise], [rooms]; [[data]] and [[evaluate]], several times; and
    the techniques [quantise], [sparsify] and [distil], each described by its settings class. All can be combined.
    """

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
    quantise: QuantiseSettings | None = None
    sparsify: SparsifySettings | None = None
    distil: DistilSettings | None = None

    def path(self, relative):
        """Resolve a path of the configuration. Parameters: relative. Returns a Path."""
        return (self.folder / relative).resolve()


SECTIONS = {"model": Architecture, "objective": ObjectiveSettings, "augment": AugmentSettings, "schedule": ScheduleSettings,
            "batch": BatchSettings, "noise": DataSettings, "rooms": DataSettings, "quantise": QuantiseSettings,
            "sparsify": SparsifySettings, "distil": DistilSettings}
LISTS = {"data": DataSettings, "evaluate": EvaluationSettings}
MANY, WIDE = 10**9, 65536
LIMITS = {
    TrainConfig: {"seed": (0, 2**63), "evaluate_every": (1, MANY), "log_every": (1, MANY), "checkpoint_s": (0, MANY)},
    Architecture: {"n_inputs": (1, WIDE), "encoder_widths": (1, WIDE), "embedding_width": (1, WIDE), "predictor_width": (1, WIDE),
                   "joiner_width": (1, WIDE), "stack": (1, 100)},
    ObjectiveSettings: {"dropout": (0, 0.99), "predictor_dropout": (0, 1), "fastemit": (0, 100)},
    ScheduleSettings: {"steps": (1, MANY), "stop": (0, MANY), "learning_rate": (0, 10), "warmup_steps": (0, MANY),
                       "hold": (0, 0.99), "final": (0, 1), "clip": (1e-9, MANY), "average_decay": (0, 1), "weight_decay": (0, 1)},
    BatchSettings: {"seconds": (0.1, MANY), "utterances": (1, MANY), "shards": (1, 64), "lead_s": (0, 60), "trail_s": (0, 60),
                    "gap_s": (0, 60), "cross_join": (0, 1), "cross_join_s": (0, MANY),
                    "mask_bins": (0, 40), "mask_frames": (0, 1000), "mask_from_step": (0, MANY)},
    DataSettings: {"copies": (1, 1000), "fraction": (0, 1), "final_fraction": (0, 1), "from_step": (0, MANY),
                   "to_step": (0, MANY), "join": (1, 1000)},
    EvaluationSettings: {"limit": (1, MANY)},
    QuantiseSettings: {"bits": (2, 8), "strength": (0, 1000), "from_step": (0, MANY), "to_step": (0, MANY),
                       "round_every": (0, MANY)},
    SparsifySettings: {"sparsity": (0, 0.99), "from_step": (0, MANY), "to_step": (0, MANY), "every": (1, MANY), "pull": (0, 1)},
    DistilSettings: {"weight": (0, 1000), "final_weight": (0, 1000), "from_step": (0, MANY), "to_step": (0, MANY),
                     "transducer_weight": (0, 1000)},
}
CHOICES = {
    QuantiseSettings: {"method": quantise_aware.METHODS, "levels": quantise_aware.LEVELS},
    SparsifySettings: {"method": sparsify.METHODS},
    DistilSettings: {"nodes": distil.NODES},
}


def check_value(place, value, default):
    """Require a value like the default.

    Parameters
    ----------
    place : str         File, table and key, for the error.
    value : object      From TOML, or a finished section.
    default : object    The field's default; `dataclasses.MISSING` stands for text, None for a section.

    Raises
    ------
    FormatError
    """
    default = "text" if default is dataclasses.MISSING else default
    if isinstance(default, tuple) and isinstance(value, list):
        pair = len(default) == 2 and isinstance(default[0], float)
        if pair and len(value) != 2 or not value and default:
            raise FormatError(f"{place}: got {len(value)} values, expected something like {list(default)}")
        for element in value:
            check_value(place, element, default[0] if default else "text")
        return
    number = isinstance(default, (int, float)) and isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = dataclasses.is_dataclass(value) if default is None else type(value) is type(default)  # no bool for an int
    if not number and not fits:
        raise FormatError(f"{place}: got {value!r}, expected something like {default!r}")
    if isinstance(default, int) and isinstance(value, float):
        raise FormatError(f"{place}: got {value!r}, expected a whole number")


def build(kind, values, where, **given):
    """Make a settings object from a TOML table.

    Parameters
    ----------
    kind : type         Dataclass to make.
    values : dict       The table.
    where : str         File and table, for errors.
    **given : object    Fields that no table may set.

    Returns
    -------
    object of type `kind`

    Raises
    ------
    FormatError         Naming an unknown key or a value of the wrong type.
    RangeError          Naming a number out of its range.
    """
    if not isinstance(values, dict):
        raise FormatError(f"{where}: got {values!r}, expected a table")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "folder"}
    for key, value in values.items():
        if key not in fields:
            raise FormatError(f"{where}: got unknown key {key!r}, expected one of {', '.join(fields)}")
        check_value(f"{where}: {key}", value, fields[key].default)
        if key in CHOICES.get(kind, ()) and value not in CHOICES[kind][key]:
            raise FormatError(f"{where}: {key}: got {value!r}, expected one of {', '.join(CHOICES[kind][key])}")
        for number in value if isinstance(value, list) else [value]:
            if key in LIMITS.get(kind, ()):
                checks.between(f"{where}: {key}", number, *LIMITS[kind][key])
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}, **given)
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
    FormatError    If the file is missing, is not TOML, or holds an unknown key or a value of the wrong type.
    RangeError     If a number is out of its range.
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
    return build(TrainConfig, values, str(path), folder=path.parent.resolve())
