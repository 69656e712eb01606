"""Sound files in and out: any WAV, FLAC or Ogg, as 16 kHz mono, whole or as a stream in bounded memory.

    file -> container check -> blocks of frames -> one channel -> finite? -> 16 kHz -> chunks

Nothing is converted silently: `notice` hears of it, and `strict` refuses it.
"""

import contextlib
import os
import pathlib
import shutil
import stat
import sys
import tempfile

import numpy as np

from refasr import checks
from refasr.audio import SAMPLE_RATE_HZ
from refasr.audio.chunks import regroup
from refasr.audio.container import check_container
from refasr.errors import FormatError, RangeError, RefasrError

F32 = np.float32
BLOCK_SAMPLES = 65536  # of all channels together: what is in memory at once
LOUDEST = F32(32)  # 30 dB above full scale; beyond it the file holds integers that someone called floats
KINDS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS")}


def read_audio(path, *, sample_rate_hz=SAMPLE_RATE_HZ, channel=None, strict=False, notice=None):
    """Read a recording.

    Parameters
    ----------
    path : str or path-like                   WAV, FLAC or Ogg (Vorbis, Opus); "-" is standard input.
    sample_rate_hz : int, 1000..768000        Rate of the result.
    channel : int or None, from 0             Which channel to take; None takes the mean of all.
    strict : bool                             Refuse a file of another rate, or of several channels when none is chosen.
    notice : function of one str, or None     Told in one line of any conversion.

    Returns
    -------
    float32 [S], about -1..1                  Lossy codecs and resampling may overshoot 1 a little; nothing is clipped.

    Raises
    ------
    FormatError                               Missing, a folder, empty, truncated, damaged, or not sound.
    RangeError                                NaN, infinite or absurd samples; no such channel; a rate refused.
    """
    chunks = stream_audio(path, BLOCK_SAMPLES, sample_rate_hz=sample_rate_hz, channel=channel, strict=strict, notice=notice)
    return np.concatenate([np.zeros(0, F32), *chunks])


def stream_audio(path, chunk_samples=16000, *, sample_rate_hz=SAMPLE_RATE_HZ, channel=None, strict=False, notice=None):
    """Read a recording piece by piece; the same samples as `read_audio`, whatever the length of the chunks.

    Parameters
    ----------
    path : str or path-like                   WAV, FLAC or Ogg (Vorbis, Opus); "-" is standard input.
    chunk_samples : int, >= 1                 Length of each chunk but the last; none is empty.
    sample_rate_hz : int, 1000..768000        Rate of the result.
    channel : int or None, from 0             Which channel to take; None takes the mean of all.
    strict : bool                             Refuse a file of another rate, or of several channels when none is chosen.
    notice : function of one str, or None     Told in one line of any conversion.

    Returns
    -------
    iterator of float32 [<= chunk_samples]    Opens the file when asked for the first chunk, closes it after the last.

    Raises
    ------
    FormatError, RangeError                   As `read_audio`; those about damage within the file, when it is reached.

    Notes
    -----
    Memory: a few times (BLOCK_SAMPLES + chunk_samples) samples, and the filter of an odd rate.
    """
    return regroup(_converted(path, sample_rate_hz, channel, strict, notice), chunk_samples)


def write_audio(path, samples, sample_rate_hz):
    """Write a mono recording with 16 bits; the file appears whole or not at all.

    Parameters
    ----------
    path : str or path-like                   Ends in .wav, .flac, .ogg (Vorbis) or .opus.
    samples : float32 [S], -1..1              A sample s is stored as round(32768 s), 1 itself as 32767.
    sample_rate_hz : int, 1000..768000

    Raises
    ------
    DTypeError, ShapeError, RangeError        For samples outside -1..1 or not finite; for none, except in .wav.
    FormatError                               For another suffix, or where the file cannot be written.
    """
    path = pathlib.Path(path)
    checks.array("samples", samples, F32, (None,))
    checks.finite("samples", samples)
    if samples.size and np.abs(samples).max() > 1:
        raise RangeError(f"{path}: got samples up to {np.abs(samples).max():g}, expected -1..1; scale them first")
    if path.suffix.lower() not in KINDS:
        raise FormatError(f"{path}: got suffix {path.suffix!r}, expected one of {', '.join(KINDS)}")
    kind, subtype = KINDS[path.suffix.lower()]
    if not samples.size and kind != "WAV":
        raise RangeError(f"{path}: got no samples, expected at least one; only .wav can hold none")
    codes = np.minimum(np.rint(samples * F32(32768)), F32(32767)).astype(np.int16)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    import soundfile
    try:
        with soundfile.SoundFile(temporary, "w", sample_rate_hz, 1, subtype, format=kind) as file:
            for begin in range(0, codes.size, BLOCK_SAMPLES):  # the Vorbis encoder keeps a whole write on its stack
                file.write(codes[begin:begin + BLOCK_SAMPLES])
        os.replace(temporary, path)
    except (OSError, soundfile.SoundFileError) as error:
        raise FormatError(f"{path}: cannot be written ({_reason(error)}); check the folder and the rate") from error
    finally:
        temporary.unlink(missing_ok=True)


def _converted(path, sample_rate_hz, channel, strict, notice):
    """The stream of `stream_audio`, in blocks of the file's own."""
    name = "standard input" if os.fspath(path) == "-" else os.fsdecode(path)
    with _opened(path, name) as file:
        declared = check_container(file, name)
        with _decoder(file, name) as decoder:
            _agree(decoder, name, sample_rate_hz, channel, strict, notice)
            resampler = _resampler(decoder.samplerate, sample_rate_hz, name)
            mono = (_one_channel(block, channel) for block in _blocks(decoder, name, declared))
            yield from _at_rate(_plausible(mono, name), resampler)


@contextlib.contextmanager
def _opened(path, name):
    """The file, or a temporary copy of what a pipe delivers: decoders need to seek. Parameters: path, name."""
    try:
        if os.fspath(path) == "-":
            file = _spooled(sys.stdin.buffer)
        elif stat.S_ISFIFO(os.stat(path).st_mode):
            with open(path, "rb") as pipe:
                file = _spooled(pipe)
        elif not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError(f"{name}: got a folder or device, expected a recording; name a file")
        else:
            file = open(path, "rb")
    except FileNotFoundError as error:
        raise FormatError(f"{name}: got no such file, expected a recording; check the path") from error
    except RefasrError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise FormatError(f"{name}: cannot be read ({_reason(error)}); check the path and its permissions") from error
    with file:
        yield file


def _spooled(pipe):
    """A temporary file with all that a pipe delivers. Parameters: pipe. Returns a binary file, unlinked already."""
    file = tempfile.TemporaryFile()
    shutil.copyfileobj(pipe, file)
    return file


@contextlib.contextmanager
def _decoder(file, name):
    """libsndfile on an open file. Parameters: file, name."""
    import soundfile  # loads a shared library: only when a file is read
    try:
        decoder = soundfile.SoundFile(file)
    except soundfile.SoundFileError as error:
        raise FormatError(f"{name}: got damaged or unknown sound data ({_reason(error)}), expected WAV, FLAC or Ogg; "
                          "copy it again or convert it") from error
    with decoder:
        yield decoder


def _agree(decoder, name, sample_rate_hz, channel, strict, notice):
    """Settle what is converted: refuse it, or say so. Parameters: as `stream_audio`, with a decoder and a name."""
    if channel is not None and channel not in range(decoder.channels):
        raise RangeError(f"{name}: got channel {channel}, expected 0..{decoder.channels - 1}; it has {decoder.channels}")
    mixed = decoder.channels > 1 and channel is None
    if decoder.samplerate == sample_rate_hz and not mixed:
        return
    found = f"{decoder.samplerate} Hz, {decoder.channels} channel{'s' * (decoder.channels > 1)}"
    if strict:
        raise RangeError(f"{name}: got {found}, expected {sample_rate_hz} Hz, 1 channel; convert it, choose a channel, "
                         "or leave out --strict")
    if notice is not None:
        how = "mean of channels" if mixed else "one channel" if decoder.channels == 1 else f"channel {channel}"
        notice(f"{name}: {found}; converted to {sample_rate_hz} Hz, {how}")


def _resampler(rate_in_hz, rate_out_hz, name):
    """A converter between the rates, None where they are equal. Parameters: rate_in_hz, rate_out_hz, name."""
    if rate_in_hz == rate_out_hz:
        return None
    from refasr.audio.resample import Resampler  # needs scipy.signal, which takes longer to import than a file to read
    try:
        return Resampler(rate_in_hz, rate_out_hz)
    except RangeError as error:
        raise RangeError(f"{name}: {error}") from error


def _blocks(decoder, name, declared):
    """Decode block after block, and count. Parameters: decoder, name, declared frames or None. Yields float32 [N, C]."""
    import soundfile
    expected = decoder.frames if declared is None else declared
    n_frames = 0
    while n_frames < expected:
        try:
            block = decoder.read(max(1, BLOCK_SAMPLES // decoder.channels), dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise FormatError(f"{name}: got damaged data after frame {n_frames} ({_reason(error)}), expected {expected} "
                              "frames; copy it again") from error
        if not len(block):
            break
        n_frames += len(block)
        yield block
    if n_frames != expected:
        raise FormatError(f"{name}: got {n_frames} frames, expected the {expected} it declares; it is truncated, copy it again")


def _one_channel(block, channel):
    """Take a channel, or the mean, added in the order of channels. Parameters: block [N, C], channel. Returns float32 [N]."""
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    total = block[:, 0].copy()
    for other in range(1, block.shape[1]):
        total += block[:, other]
    return total * F32(1 / block.shape[1]) if block.shape[1] > 1 else total


def _plausible(blocks, name):
    """Refuse what no microphone gives: NaN, infinity, integers stored as floats. Parameters: blocks, name."""
    n_samples = 0
    for block in blocks:
        loud = np.flatnonzero(~(np.abs(block) <= LOUDEST))  # NaN compares false
        if loud.size:
            raise RangeError(f"{name}: got {block[loud[0]]:g} at sample {n_samples + loud[0]}, expected finite samples of about "
                             "-1..1; repair the file or scale it")
        n_samples += block.size
        yield block


def _at_rate(blocks, resampler):
    """Convert the rate of a stream. Parameters: blocks, resampler or None. Yields float32 [S]."""
    if resampler is None:
        yield from blocks
        return
    state = resampler.start()
    for block in blocks:
        out, state = resampler.step(block, state)
        yield out
    yield resampler.finish(state)


def _reason(error):
    """The last words of an error, on one line. Parameters: error. Returns str."""
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).removeprefix("Error : ").rstrip(".")
