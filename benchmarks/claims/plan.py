"""What is to be trained: claims.toml as arms, each a training configuration that is told by all its settings.

An arm of [arms] has, all but the techniques optional:

    start       arm whose weights it begins with; without one, random weights
    rounded     instead of training: this arm's weights, rounded as [quantise] says (post-training quantisation)
    labels      arm that writes pseudo.tsv, which the data may name: what it hears in the recordings of hidden.tsv
    model, schedule, data, quantise, sparsify, distil    as in `refasr train`; the teacher of distil is the name of an arm

What begins with another arm has the schedule [fine] and the data of training.toml, unless it says otherwise.
"""

import dataclasses
import hashlib
import json
import pathlib
import tomllib

from refasr.errors import FormatError
from refasr.train import config as train_config
from refasr.train.config import DataSettings, TrainConfig
from refasr.train.settings_file import NEUTRAL

FOLDER = pathlib.Path(__file__).parent
TABLES = ("model", "schedule", "quantise", "sparsify", "distil")
KEYS = {*TABLES, "data", "start", "rounded", "labels"}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One network of one seed.

    name : str
    config : TrainConfig
    start, rounded, teacher : Arm or None    What it is made from.
    labeller : Arm or None                   Who tells it what is said in hidden recordings.
    key : str                                Of all of this; 16 hexadecimal digits.
    """

    name: str
    config: TrainConfig
    start: "Arm" = None
    rounded: "Arm" = None
    teacher: "Arm" = None
    labeller: "Arm" = None
    key: str = ""

    def makers(self):
        """Arms that must be there before. Returns a list of Arm."""
        return [arm for arm in (self.start, self.rounded, self.teacher, self.labeller) if arm]


class Plan:
    """Both files, read.

    Parameters
    ----------
    claims : str or Path      Such as claims.toml.
    training : str or Path    Such as training.toml.

    Raises
    ------
    FormatError               For an arm or a claim that names what is not there.
    """

    def __init__(self, claims=FOLDER / "claims.toml", training=FOLDER / "training.toml"):
        self.place = pathlib.Path(claims)
        values = tomllib.loads(self.place.read_text(encoding="utf-8"))
        self.sets, self.fine, self.arms = values.get("sets", {}), values["fine"], values["arms"]
        self.claims = {claim["name"]: claim for claim in values["claim"]}
        self.training = train_config.read_config(training)
        for name, arm in self.arms.items():
            unknown = sorted(set(arm) - KEYS)
            if unknown:
                raise FormatError(f"{self.place}: arm {name!r}: got {unknown[0]!r}, expected one of {sorted(KEYS)}")
        for claim in self.claims.values():
            for name in arms_of(claim):
                self.settings_of(name)

    def settings_of(self, name):
        """Table of an arm. Parameters: name. Returns a dict."""
        if name not in self.arms:
            raise FormatError(f"{self.place}: got {name!r}, expected an arm: {', '.join(self.arms)}")
        return self.arms[name]

    def arm(self, name, seed, common):
        """An arm of one seed, with what it is made from.

        Parameters
        ----------
        name : str
        seed : int
        common : dict    What all arms depend on, such as the fingerprints of the sets.

        Returns
        -------
        Arm
        """
        values = dict(self.settings_of(name))
        distil = values.get("distil")
        made_from = {"start": values.pop("start", ""), "rounded": values.pop("rounded", ""),
                     "labeller": values.pop("labels", ""), "teacher": distil["teacher"] if distil else ""}
        parents = {role: self.arm(parent, seed, common) for role, parent in made_from.items() if parent}
        if "start" in parents or "rounded" in parents:
            values.setdefault("schedule", self.fine)
            values.setdefault("model", self.settings_of(made_from["start"] or made_from["rounded"]).get("model", {}))
        if distil:  # the bytes of a teacher are not there yet; its key tells it as well
            values["distil"] = distil | {"teacher": f"{parents['teacher'].key}.npz"}
        config = self.configured(name, seed, values)
        told = {"settings": spoken(config), "made from": {role: parent.key for role, parent in parents.items()}, "common": common}
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
        return Arm(name, config, key=key, **parents)

    def configured(self, name, seed, values):
        """Training configuration of an arm. Parameters: name, seed, values (its table). Returns a TrainConfig."""
        place, base = f"{self.place}: arm {name!r}", self.training
        tables = {key: train_config.build(train_config.SECTIONS[key], over(getattr(base, key), values[key]), f"{place} [{key}]")
                  for key in TABLES if key in values}
        if "data" in values:
            tables["data"] = tuple(train_config.build(DataSettings, entry, f"{place} data") for entry in values["data"])
        return dataclasses.replace(base, name=name, seed=seed, **tables)


def spoken(settings):
    """Settings that are not as they would be anyway: a key that is new, and not used, makes no other arm of an old one.

    Parameters
    ----------
    settings : TrainConfig, or one of its tables

    Returns
    -------
    dict
    """
    found = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in NEUTRAL or value == field.default:
            continue
        if dataclasses.is_dataclass(value):
            value = spoken(value)
        elif isinstance(value, tuple):
            value = [spoken(each) if dataclasses.is_dataclass(each) else each for each in value]
        found[field.name] = value
    return found


def over(base, table):
    """A table with the keys of a settings object that it leaves out. Parameters: base (or None), table. Returns a dict."""
    known = {} if base is None else dataclasses.asdict(base)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in known.items()} | table


def arms_of(claim):
    """Arms that a claim compares. Parameters: claim. Returns a list of names."""
    return [*claim["arms"], *(claim[role] for role in ("against", "dense") if role in claim)]


def in_order(arms):
    """Arms with what they are made from, each once and after its makers. Parameters: arms. Returns a list of Arm."""
    found = {}
    for arm in arms:
        for each in (*in_order(arm.makers()), arm):
            found.setdefault(each.key, each)
    return list(found.values())
