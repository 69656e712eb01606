"""Utterances whose true end is known: recordings with pauses put between words, a room before and after, noise and other talk.

    lead | words ... pause ... words | end | trail        + room noise over all of it, + other people's talk

Corpora end where somebody cut them, so that they say nothing of how long an end-pointer waits; these do. Chance is in `draw`
alone: `compose` is a function of recording and plan.
"""

from typing import NamedTuple

import numpy as np

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.level import coloured_noise, mean_square, set_level
from refasr.errors import RangeError

F32 = np.float32
STEP_S = 0.01
PEAK_DB, FLOOR_DB = 35.0, 8.0            # speech is within so much of the loudest, and so much above the quietest
SEARCH_S = 0.12                          # how far from the aligned border of two words the quietest place may be
FADE_S = 0.005
APART_STEPS = 12                         # the shortest word between two gaps


class Placed(NamedTuple):
    """Where the words of a recording are, in samples.

    begin, end : int              First and last sound of speech, end exclusive.
    gaps : tuple of int           Quietest places between words, rising.
    """

    begin: int
    end: int
    gaps: tuple


class Ranges(NamedTuple):
    """What `draw` draws from.

    pause_chance : share of utterances with pauses; two_pauses : of these, with two.
    pause_s, lead_s, trail_s : uniform ranges.
    snr_db : the choices; None is a quiet room (noise 60 dB below full scale).
    talk_chance : share with other people's talk; talk_db : how far below the speech, uniform.
    """

    pause_chance: float = 0.4
    two_pauses: float = 0.35
    pause_s: tuple = (0.2, 1.2)
    lead_s: tuple = (0.2, 0.8)
    trail_s: tuple = (3.0, 3.5)
    snr_db: tuple = (None, 20.0, 10.0)
    talk_chance: float = 0.2
    talk_db: tuple = (15.0, 25.0)


class Plan(NamedTuple):
    """What is done to one recording; made by `draw`.

    pauses : tuple of (gap, seconds), rising; lead_s, trail_s : seconds; snr_db : or None.
    noise, talk : which recording, 0 to 1 of those there are; talk_db : or None; seed : of the room's own noise and offsets.
    """

    pauses: tuple
    lead_s: float
    trail_s: float
    snr_db: float | None
    noise: float
    talk: float
    talk_db: float | None
    seed: int


class Composed(NamedTuple):
    """An utterance.

    samples : float32 [S]; begin_s, end_s : of speech, seconds; pauses : tuple of (begin, end), seconds.
    """

    samples: np.ndarray
    begin_s: float
    end_s: float
    pauses: tuple


def step_db(samples):
    """Power of each 10 ms. Parameters: samples. Returns float64 [N], dB."""
    step = round(STEP_S * SAMPLE_RATE_HZ)
    rows = samples[: samples.size // step * step].reshape(-1, step).astype(np.float64)
    return 10 * np.log10(np.mean(rows ** 2, axis=1) + 1e-12)


def place(samples, word_times):
    """Find the speech in a recording, and the gaps between its words.

    Parameters
    ----------
    samples : float32 [S]                    A clean recording.
    word_times : sequence of (start, end)    Seconds, of an alignment; units come some 0.1 s early or late.

    Returns
    -------
    Placed                                   The end is the last 10 ms above the level of speech that lies within 0.5 s of the
                                             last word: what comes later is a breath or a click.

    Raises
    ------
    RangeError                               For no word, or a recording without sound.
    """
    level, n = step_db(samples), len(word_times)
    if n == 0 or level.size == 0 or level.max() < -100:
        raise RangeError(f"samples: got {n} words in {samples.size} samples, expected speech; leave the recording out")
    threshold = max(level.max() - PEAK_DB, min(np.percentile(level, 5) + FLOOR_DB, level.max() - 15.0))
    first, last = (round(seconds / STEP_S) for seconds in (word_times[0][0], word_times[-1][1]))
    loud = np.flatnonzero(level >= threshold)
    near = loud[(loud >= first - 30) & (loud <= last + 50)]
    begin, end = (int(near[0]), int(near[-1]) + 1) if near.size else (first, last)
    smooth, reach, gaps = np.convolve(level, np.ones(3) / 3, mode="same"), round(SEARCH_S / STEP_S), []
    for before, after in zip(word_times, word_times[1:]):
        middle = round((before[1] + after[0]) / 2 / STEP_S)
        low, high = max(middle - reach, begin + 1), min(middle + reach, end - 1)
        if low < high:
            gaps.append(low + int(np.argmin(smooth[low:high])))
    step, apart = round(STEP_S * SAMPLE_RATE_HZ), []
    for gap in sorted(gaps):
        if gap - (apart[-1] if apart else begin) >= APART_STEPS and end - gap >= APART_STEPS:
            apart.append(gap)
    return Placed(begin * step, end * step, tuple(gap * step + step // 2 for gap in apart))


def draw(rng, ranges, n_gaps):
    """Decide.

    Parameters
    ----------
    rng : numpy.random.Generator
    ranges : Ranges
    n_gaps : int                    Places where a pause may come; none, none comes.

    Returns
    -------
    Plan
    """
    within = lambda limits: float(limits[0] + (limits[1] - limits[0]) * rng.random())
    paused, two, talked = (rng.random(3) < (ranges.pause_chance, ranges.two_pauses, ranges.talk_chance)).tolist()
    where = rng.permutation(n_gaps)[:1 + two] if paused else []
    pauses = tuple(sorted((int(gap), within(ranges.pause_s)) for gap in where))
    snr_db = ranges.snr_db[int(rng.integers(len(ranges.snr_db)))]
    return Plan(pauses, within(ranges.lead_s), within(ranges.trail_s), snr_db, rng.random(), rng.random(),
                within(ranges.talk_db) if talked else None, int(rng.integers(2**31)))


def compose(samples, placed, plan, noises, talks):
    """Carry out a plan.

    Parameters
    ----------
    samples : float32 [S]                 The recording; what is in it after the end of speech is left out.
    placed : Placed                       From `place`.
    plan : Plan                           From `draw`.
    noises : sequence of float32 [N]      Of rooms; may be empty, then noise is pink.
    talks : sequence of float32 [N]       Of other people; may be empty, then there is none.

    Returns
    -------
    Composed

    Raises
    ------
    DTypeError, ShapeError, RangeError
    """
    checks.array("samples", samples, F32, (None,))
    rng, seconds = np.random.default_rng(plan.seed), lambda s: round(s * SAMPLE_RATE_HZ)
    speech = set_level(samples[placed.begin:placed.end], -26.0)
    pieces, pauses, at, used = [np.zeros(seconds(plan.lead_s), F32)], [], seconds(plan.lead_s), 0
    for gap, pause_s in plan.pauses:
        cut = placed.gaps[gap] - placed.begin
        pieces += [faded(speech[used:cut]), np.zeros(seconds(pause_s), F32)]
        at += cut - used
        pauses.append((at / SAMPLE_RATE_HZ, at / SAMPLE_RATE_HZ + pause_s))
        at, used = at + seconds(pause_s), cut
    pieces += [faded(speech[used:]), np.zeros(seconds(plan.trail_s), F32)]
    end, whole = at + speech.size - used, np.concatenate(pieces)
    whole = whole + room(rng, whole.size, plan, noises, mean_square(speech))
    if plan.talk_db is not None and len(talks):
        other = set_level(talks[int(plan.talk * len(talks))], -26.0)
        whole = whole + stretch(rng, other, whole.size) * F32(10 ** (-plan.talk_db / 20))
    return Composed(np.clip(whole, F32(-1), F32(1)), plan.lead_s, end / SAMPLE_RATE_HZ, tuple(pauses))


def room(rng, n_samples, plan, noises, speech_power):
    """The room's noise. Parameters: rng, n_samples, plan, noises, speech_power. Returns float32 [n_samples]."""
    quiet = coloured_noise(rng, n_samples, -65.0, 1.0)
    if plan.snr_db is None:
        return quiet
    if len(noises):
        noise = stretch(rng, noises[int(plan.noise * len(noises))], n_samples)
    else:
        noise = coloured_noise(rng, n_samples, -40.0, 1.0)
    power = mean_square(noise)
    return quiet + noise * F32(np.sqrt(speech_power / max(power, 1e-10)) * 10 ** (-plan.snr_db / 20))


def stretch(rng, source, n_samples):
    """A part of a recording, repeated if it is short. Parameters: rng, source, n_samples. Returns float32 [n_samples]."""
    begin = int(rng.integers(source.size))
    return np.resize(np.concatenate([source[begin:], source[:begin]]), n_samples)


def faded(samples):
    """Ramps of 5 ms at both ends, so that a cut does not click. Parameters: samples. Returns float32 [S]."""
    n = min(round(FADE_S * SAMPLE_RATE_HZ), samples.size // 2)
    ramp, samples = np.linspace(0, 1, n, dtype=F32), samples.copy()
    samples[:n] *= ramp
    if n:
        samples[-n:] *= ramp[::-1]
    return samples
