"""Which recogniser the options ask for; the one place where options become a description of one. Not a sub-command."""

import argparse

DEFAULT_BEAM = 24        # of SearchSettings, which would have to import NumPy for --help


def width(text):
    """Parameters: text. Returns a whole number from 1 to 64."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 1 to 64")
    return int(text)


def add_options(parser):
    """Declare the options that decide what is written. Parameters: parser."""
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="a shipped model (see refasr info) or a file")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")
    parser.add_argument("--beam", type=width, default=DEFAULT_BEAM, metavar="N",
                        help=f"hypotheses kept after a frame, 1 (greedy search) to 64; default {DEFAULT_BEAM}")
    parser.add_argument("--phrases", metavar="FILE", help="names and phrases to boost: a list (PHRASE :WEIGHT) or JSON")
    parser.add_argument("--boost", type=float, metavar="W",
                        help="weight of phrases that bring none, natural log per character; see refasr.search.phrases")


def spec_of(options, tell=lambda line: None):
    """The description.

    Parameters
    ----------
    options : argparse.Namespace       Of a sub-command that may have only some of the options above.
    tell : function of one str         Told of phrases that are left out.

    Returns
    -------
    RecogniserSpec

    Raises
    ------
    FormatError, RangeError            For the file of phrases.
    """
    from refasr.recogniser_spec import RecogniserSpec
    chosen = {"beam": getattr(options, "beam", 1)}
    if getattr(options, "nbest", None) is not None:
        chosen["nbest"] = options.nbest
    if getattr(options, "phrases", None) is None:
        if getattr(options, "boost", None) is not None:
            options.refuse("--boost: got it alone, expected --phrases FILE with it")
    else:
        from refasr.search import phrases
        entries = phrases.read_phrases(options.phrases)
        chosen |= {"phrases": entries.entries, "boost": phrases.DEFAULT_WEIGHT if options.boost is None else options.boost}
        for line in phrases.spell(entries, default_weight=chosen["boost"])[1]:
            tell(line)
    return RecogniserSpec(options.model, options.backend, **chosen)
