"""Augmentation for training: one recording heard faster, in a room, in noise, through a poor microphone.

    speech -> speed -> room -> + noise at an SNR -> equaliser and band limit -> clipping -> level -> + floor noise -> mu-law

Chance lives in one place: `draw` turns a generator (seeded by run, epoch and utterance) into an `AugmentPlan`, and
`apply` is a pure function of samples and plan, so a resumed training run hears the same audio bit for bit. The warp of
the vocal tract is a property of the mel bank, not of the samples: `AugmentSettings.vocal_tract_warp` only holds its
range for the feature stage, and nothing here applies it.
"""

import dataclasses

import numpy as np

from refasr import checks
from refasr.audio.channel import FILTER_BINS, clip, equaliser, mu_law
from refasr.audio.level import add_noise, coloured_noise, set_level
from refasr.audio.room import convolve, convolve_room, simulate_room
from refasr.audio.speed import change_speed
from refasr.errors import RangeError, ShapeError

F32 = np.float32
EQUALISER_KNOTS = 5
TELEPHONE_LOW_HZ, TELEPHONE_HIGH_HZ = 300.0, 3400.0


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """How often, and how strongly; pairs are the ends of uniform ranges.

    The defaults are strong: they suit a small corpus that must generalise to people and rooms never heard. A chance
    outside 0..1 or a range that is not (low, high) is a RangeError.
    """

    speed_chance: float = 0.8
    speed: tuple[float, float] = (0.85, 1.18)                 # tempo and pitch together
    room_chance: float = 0.35
    measured_room_chance: float = 0.5                         # share of rooms taken from `rooms`, where there are any
    t60_s: tuple[float, float] = (0.1, 0.6)
    direct_to_reverberant_db: tuple[float, float] = (-3.0, 12.0)
    noise_chance: float = 0.6
    snr_db: tuple[float, float] = (5.0, 40.0)
    equaliser_chance: float = 0.5
    equaliser_db: float = 8.0                                 # largest gain or cut at a knot
    band_limit_chance: float = 0.15
    band_limit_hz: tuple[float, float] = (3400.0, 7000.0)
    telephone_chance: float = 0.4                             # share of band limits that are 300..3400 Hz
    clip_chance: float = 0.03
    clip_at: tuple[float, float] = (0.2, 0.8)                 # of the peak
    level_dbfs: tuple[float, float] = (-35.0, -10.0)          # root mean square; always applied
    floor_chance: float = 0.5
    floor_dbfs: tuple[float, float] = (-90.0, -45.0)
    floor_slope: tuple[float, float] = (0.0, 1.5)             # power falls as 1/f^slope: 0 white, 1 pink
    mu_law_chance: float = 0.05
    vocal_tract_warp: tuple[float, float] = (0.88, 1.12)      # for the mel bank; not applied here

    def __post_init__(self):
        for name, value in vars(self).items():
            if name.endswith("_chance"):
                checks.between(name, value, 0, 1)
            elif name != "equaliser_db" and (len(value) != 2 or not value[0] <= value[1]):
                raise RangeError(f"{name}: got {value}, expected two numbers, the lower first")


@dataclasses.dataclass(frozen=True)
class AugmentPlan:
    """What is done to one utterance; `None` leaves a step out. Made by `draw`, obeyed by `apply`."""

    speed: float | None = None
    room: int | None = None                 # index of a measured response
    simulated_room: tuple | None = None     # (seed, T60 in s, direct-to-reverberant ratio in dB)
    noise: tuple | None = None              # (index, SNR in dB, offset as a fraction of the noise's length)
    equaliser_db: tuple | None = None       # gains at knots evenly spaced in mel, lowest first
    band_hz: tuple | None = None            # (low, high)
    clip_at: float | None = None
    level_dbfs: float | None = None
    floor: tuple | None = None              # (seed, level in dBFS, slope)
    mu_law: bool = False


def draw(rng, settings, n_noises, n_rooms):
    """Decide what happens to one utterance.

    Every decision is drawn in the same order whether or not it is used, so changing one probability leaves the
    other decisions of the same seed alone.

    Parameters
    ----------
    rng : numpy.random.Generator    Seed it with (seed, epoch, utterance).
    settings : AugmentSettings      Probabilities and ranges.
    n_noises : int, >= 0            Recordings of noise there are to choose from; 0 leaves noise out.
    n_rooms : int, >= 0             Measured room responses there are to choose from; 0 simulates every room.

    Returns
    -------
    AugmentPlan
    """
    chance = rng.random(10)
    place = rng.random(13)
    knots = rng.random(EQUALISER_KNOTS)
    seeds = rng.integers(0, 2**63, size=2)

    def within(limits, i):
        return float(limits[0] + (limits[1] - limits[0]) * place[i])

    in_room = chance[0] < settings.room_chance
    measured = in_room and n_rooms > 0 and chance[1] < settings.measured_room_chance
    low_pass = (0.0, within(settings.band_limit_hz, 6))
    band = (TELEPHONE_LOW_HZ, TELEPHONE_HIGH_HZ) if chance[5] < settings.telephone_chance else low_pass
    simulated = (int(seeds[0]), within(settings.t60_s, 2), within(settings.direct_to_reverberant_db, 3))
    return AugmentPlan(
        speed=within(settings.speed, 0) if chance[2] < settings.speed_chance else None,
        room=int(place[1] * n_rooms) if measured else None,
        simulated_room=simulated if in_room and not measured else None,
        noise=((int(place[4] * n_noises), within(settings.snr_db, 5), float(place[7]))
               if n_noises > 0 and chance[3] < settings.noise_chance else None),
        equaliser_db=(tuple((2 * knots - 1) * settings.equaliser_db) if chance[4] < settings.equaliser_chance else None),
        band_hz=band if chance[6] < settings.band_limit_chance else None,
        clip_at=within(settings.clip_at, 8) if chance[7] < settings.clip_chance else None,
        level_dbfs=within(settings.level_dbfs, 9),
        floor=((int(seeds[1]), within(settings.floor_dbfs, 10), within(settings.floor_slope, 11))
               if chance[8] < settings.floor_chance else None),
        mu_law=bool(chance[9] < settings.mu_law_chance))


def apply(samples, plan, noises, rooms, backend):
    """Carry out a plan, in the order of the module's first picture.

    Parameters
    ----------
    samples : float32 [S], -1..1          Speech at 16 kHz.
    plan : AugmentPlan                    From `draw`.
    noises : sequence of float32 [N]      Noise recordings at 16 kHz, of any length >= 1.
    rooms : sequence of float32 [K]       Measured room responses at 16 kHz.
    backend : refasr.twins.Backend        Which twin changes the speed.

    Returns
    -------
    float32 [S'], -1..1                   S' = int(S / speed).

    Raises
    ------
    DTypeError, ShapeError, RangeError    From the steps.
    """
    checks.array("samples", samples, F32, (None,))
    if plan.speed is not None:
        samples = backend(change_speed)(samples, plan.speed)
    if plan.room is not None:
        samples = convolve_room(samples, rooms[plan.room])
    if plan.simulated_room is not None:
        seed, t60_s, ratio_db = plan.simulated_room
        samples = convolve_room(samples, simulate_room(np.random.default_rng(seed), t60_s, ratio_db))
    if plan.noise is not None:
        index, snr_db, where = plan.noise
        samples = add_noise(samples, noises[index], snr_db, int(where * noises[index].size))
    if plan.equaliser_db is not None or plan.band_hz is not None:
        samples = convolve(samples, equaliser(plan.equaliser_db or (0.0,), plan.band_hz or (0.0, np.inf)), FILTER_BINS)
    if plan.clip_at is not None:
        samples = clip(samples, plan.clip_at)
    if plan.level_dbfs is not None:
        samples = set_level(samples, plan.level_dbfs)
    if plan.floor is not None:
        seed, level_dbfs, slope = plan.floor
        samples = samples + coloured_noise(np.random.default_rng(seed), samples.size, level_dbfs, slope)
    samples = np.clip(samples, F32(-1), F32(1))  # only the floor noise of a signal at full scale can reach past 1
    return mu_law(samples) if plan.mu_law else samples


def augment(samples, rng, settings, noises, rooms, backend):
    """Draw a plan and carry it out.

    Parameters
    ----------
    samples : float32 [S], -1..1          Speech at 16 kHz.
    rng : numpy.random.Generator          Seed it with (seed, epoch, utterance).
    settings : AugmentSettings            Probabilities and ranges.
    noises : sequence of float32 [N]      Noise recordings at 16 kHz; may be empty.
    rooms : sequence of float32 [K]       Measured room responses at 16 kHz; may be empty.
    backend : refasr.twins.Backend        `twins.select("fast")` in training.

    Returns
    -------
    float32 [S'], -1..1

    Raises
    ------
    DTypeError, ShapeError, RangeError    From the steps.
    """
    return apply(samples, draw(rng, settings, len(noises), len(rooms)), noises, rooms, backend)


def join(pieces, gap_samples):
    """Several recordings in a row, with digital silence between them.

    Parameters
    ----------
    pieces : sequence of float32 [S]          At least one.
    gap_samples : int or sequence of int      Length of each gap; one fewer than there are pieces.

    Returns
    -------
    float32 [sum of pieces and gaps]

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    if not len(pieces):
        raise ShapeError("pieces: got none, expected at least one recording")
    gaps = np.full(len(pieces) - 1, gap_samples) if np.ndim(gap_samples) == 0 else np.asarray(gap_samples)
    if gaps.shape != (len(pieces) - 1,):
        raise ShapeError(f"gap_samples: got {gaps.size} gaps, expected {len(pieces) - 1}; one between each two pieces")
    if gaps.size and gaps.min() < 0:
        raise RangeError(f"gap_samples: got {gaps.min()}, expected lengths >= 0")
    for i, piece in enumerate(pieces):
        checks.array(f"pieces[{i}]", piece, F32, (None,))
    parts = [pieces[0]]
    for gap, piece in zip(gaps, pieces[1:]):
        parts += [np.zeros(gap, F32), piece]
    return np.concatenate(parts)
