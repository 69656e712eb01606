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
    parser.add_argument("--lm", metavar="NAME|ARPA",
                        help="let an n-gram model speak during the search: default, which is shipped, or an ARPA file")
    parser.add_argument("--lm-weight", type=float, metavar="W", help="of its logarithms; see refasr.search.fusion")


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
    chosen |= language_model(options, greedy=chosen["beam"] == 1 and "phrases" not in chosen)
    return RecogniserSpec(options.model, options.backend, **chosen)


def language_model(options, greedy):
    """What --lm says. Parameters: options, greedy (whether there is no beam search). Returns fields of RecogniserSpec, a dict."""
    lm, weight = getattr(options, "lm", None), getattr(options, "lm_weight", None)
    if lm is None and weight is not None:
        options.refuse("--lm-weight: got it alone, expected --lm NAME|ARPA with it")
    if lm is not None and greedy:
        options.refuse("--lm: got it with --beam 1, expected a wider beam; greedy search follows one hypothesis")
    return ({} if lm is None else {"lm": lm}) | ({} if weight is None else {"lm_weight": weight})
