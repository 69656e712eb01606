"""How `refasr transcribe` writes results down. Not a sub-command."""

import json
import os
import pathlib
import shutil
import sys

SUFFIXES = {"srt": ".srt", "vtt": ".vtt", "textgrid": ".TextGrid"}


def recording_name(file):
    """Name without folder and suffix. Parameters: file. Returns str."""
    return "stdin" if file == "-" else pathlib.Path(file).stem


def recording_names(files):
    """Names of recordings where folders do not tell them apart.

    Parameters
    ----------
    files : iterable of str

    Returns
    -------
    dict from file to name

    Raises
    ------
    RangeError                 If two files would have one name.
    """
    from refasr.errors import RangeError
    from refasr.timed_text import field
    names, owners = {}, {}
    for file in files:
        name = recording_name(file)
        key = os.path.normcase(field(name))
        if key in owners:
            raise RangeError(f"{file}: got the name {name}, which {owners[key]} has too, expected different names; rename one, "
                             "or do them apart")
        owners[key] = file
        names[file] = name
    return names


def targets(options, files):
    """Where each recording's own file goes, for formats that hold one. Makes the folder.

    Parameters
    ----------
    options : argparse.Namespace
    files : list of str

    Returns
    -------
    dict from file to path, or None for standard output
    """
    from refasr.errors import FormatError
    output = options.output
    if output is None or not (output.endswith(("/", os.sep)) or os.path.isdir(output)):
        if len(files) > 1:
            options.refuse(f"--format {options.format}: got {len(files)} recordings and no folder, expected -o FOLDER/ "
                           "for a file a recording")
        return dict.fromkeys(files, output)
    names = recording_names(files)
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{output}: cannot be made ({error.strerror}); name another folder") from error
    return {file: os.path.join(output, name + SUFFIXES[options.format]) for file, name in names.items()}


def lattice_targets(options, files):
    """Where each recording's lattice goes. Parameters: options, files. Returns {file: path}, empty without --lattice."""
    from refasr.errors import FormatError
    if options.lattice is None:
        return {}
    from refasr.lattice.formats import SUFFIXES as KINDS
    if pathlib.Path(options.lattice).suffix.lower() not in KINDS:
        options.refuse(f"--lattice: got {options.lattice!r}, expected a name that ends in {', '.join(KINDS)}")
    if "{}" not in options.lattice and len(files) > 1:
        options.refuse(f"--lattice: got {len(files)} recordings for one file, expected {{}} in its name: lattices/{{}}.fst")
    paths = {file: options.lattice.replace("{}", name) for file, name in recording_names(files).items()}
    for folder in {os.path.dirname(path) for path in paths.values()} - {""}:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise FormatError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
    return paths


def whole(style, result):
    """A format that holds one recording. Parameters: style (of SUFFIXES), result. Returns text."""
    from refasr import captions, timed_text
    write = {"srt": captions.as_srt, "vtt": captions.as_vtt, "textgrid": timed_text.as_textgrid}[style]
    return write(result.words, result.duration)


def render(options, pairs, several, names):
    """Write outcomes down in a format that holds many, piece by piece.

    Parameters
    ----------
    options : argparse.Namespace
    pairs : iterable of (name, Result or RefasrError)
    several : bool                                       Text has the file's name before it.
    names : dict                                         Recordings' names for ctm and trn.

    Returns
    -------
    iterator of str
    """
    from refasr import timed_text
    if options.format in ("json", "jsonl"):
        objects = (json.dumps(described(name, outcome), allow_nan=False) for name, outcome in pairs)
        yield from (text + "\n" for text in objects) if options.format == "jsonl" else as_list(objects)
        return
    for name, result in pairs:
        if isinstance(result, Exception):
            continue
        if options.format == "ctm":
            yield timed_text.as_ctm(result.words, names[name], (options.channel or 0) + 1, confidences=True)
        elif options.format == "trn":
            yield timed_text.as_trn(result.text, names[name])
        else:
            for line in [result.text] if options.nbest is None else [f"{one.total:.3f}\t{one.text}" for one in result.nbest]:
                yield f"{name}\t{line}\n" if several else f"{line}\n"


def as_list(objects):
    """A JSON list, as its elements come. Parameters: objects (texts). Returns an iterator of str."""
    before = "[\n"
    for text in objects:
        yield before + text
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def described(name, outcome):
    """An outcome for JSON. Parameters: name, outcome (Result or RefasrError). Returns a dict."""
    if isinstance(outcome, Exception):
        return {"file": name, "error": " ".join(str(outcome).split())}
    return {"file": name} | outcome.as_json()


def write_resumably(options, items, failures, outcomes):
    """Write JSON lines through OUT.part, which survives an interruption.

    Parameters
    ----------
    options : argparse.Namespace
    items : list of (name, error or None)
    failures : list                          Gets something for each file that failed, now or before.
    outcomes : function                      `transcribe.outcomes`.
    """
    from refasr.errors import FormatError
    from refasr.journal import Journal
    from refasr.whole_file import whole_file
    part = options.output + ".part"
    if os.path.isdir(options.output):
        raise FormatError(f"{options.output}: got a folder, expected the name of a file; add one")
    if os.path.exists(part) and not options.resume:
        raise FormatError(f"{part}: got what an interrupted run has left, expected none; add --resume to go on, or delete it")
    with Journal(part, work(options, items), lambda entry: (entry.get("file"), "error" in entry)) as journal:
        failures += [name for name, failed in check_done(part, journal.entries, items) if failed]
        n_done = len(journal.entries)
        try:
            with outcomes(options, items[n_done:], failures) as pairs:
                for name, outcome in pairs:
                    journal.append(described(name, outcome))
                    n_done += 1
        except BaseException:
            if n_done == 0:
                journal.discard()  # nothing to go on from
            else:
                print(f"refasr: {part}: {n_done} of {len(items)} are done; add --resume to go on", file=sys.stderr)
            raise
        with whole_file(options.output) as out, journal.lines() as lines:
            shutil.copyfileobj(lines, out)
        journal.discard()


def work(options, items):
    """What a partial file must have been written by. Parameters: options, items. Returns a dict for a Journal."""
    from refasr.cli.recogniser import spec_of
    readable = any(error is None for _, error in items)  # else no model is needed, and none may be there
    return {"work": "transcribe", "recogniser": spec_of(options).identity() if readable else "", "channel": options.channel,
            "strict": options.strict}


def check_done(part, entries, items):
    """Require that a partial file begins the list of files. Parameters: part, entries (file, failed), items. Returns entries."""
    from refasr.errors import FormatError
    for number, (file, _) in enumerate(entries):
        expected = items[number][0] if number < len(items) else "the end of the list"
        if file != expected:
            raise FormatError(f"{part}: line {number + 2}: got {file}, expected {expected}; the list of files has changed: name "
                              "the same files in the same order, or delete it to begin again")
    return entries
