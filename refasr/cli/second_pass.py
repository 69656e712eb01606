"""`refasr second-pass`: the second pass as a service, or on one lattice."""

import argparse
import time

HELP = "rescore lattices with larger language models, as a service or one by one"
EPILOG = """examples:
  refasr second-pass serve --port 7700
  refasr transcribe --second-pass 127.0.0.1:7700 recording.wav
  refasr transcribe --lattice out.lat recording.wav
  refasr second-pass rescore out.lat better.lat

serve prints where it listens when it is ready and goes on until it is stopped; by default only programs on this machine
reach it. It receives lattices, no audio; docs/second-pass.md specifies the messages. A client that sends anything else is
dropped, with a line on stderr. --ngram is an ARPA file (.gz: compressed), --neural a model of data/training/lm.py; without
them the shipped ones are used. --source is an ARPA file of what the recogniser heard in training: its share in the acoustic
scores is taken out.
"""
DEFAULT_PORT = 7700


def number(text):
    """A port. Parameters: text. Returns a whole number from 0 to 65535."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a port from 0 to 65535")
    return int(text)


def address(text):
    """Where a service listens. Parameters: text (HOST:PORT). Returns (host, port)."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}")
    return host.strip("[]"), number(port)


def seconds(text):
    """A time to wait. Parameters: text. Returns float, 0.001 to 3600."""
    from refasr.rescoring.client import LONGEST_SECONDS, SHORTEST_SECONDS
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected seconds from {SHORTEST_SECONDS} to {LONGEST_SECONDS:.0f}")
    return value


def add_arguments(parser):
    """Declare the actions and their options. Parameters: parser."""
    from refasr.rescoring.second_pass import Mixture
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser("serve", help="answer recognisers until stopped", allow_abbrev=False)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at; default 127.0.0.1, this machine only")
    serve.add_argument("--port", type=number, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}; 0 takes any free one")
    once = actions.add_parser("rescore", help="rescore one lattice", allow_abbrev=False)
    once.add_argument("file", metavar="FILE", help="as `refasr lattice` reads it")
    once.add_argument("output", metavar="OUT", help="as `refasr lattice convert` writes it")
    for action in (serve, once):
        action.add_argument("--ngram", metavar="ARPA", help="n-gram model instead of the shipped one")
        action.add_argument("--neural", metavar="FILE", help="neural model instead of the shipped one; '' for none")
        action.add_argument("--source", metavar="ARPA", help="model of the recogniser's training transcripts; default none")
        for name in ("ngram", "neural", "source"):
            action.add_argument(f"--{name}-weight", type=float, metavar="W", default=getattr(Mixture(), name),
                                help="of its logarithms, default %(default)s")
        action.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")


def load(options):
    """Parameters: options. Returns a SecondPass."""
    from refasr.rescoring.second_pass import Mixture, SecondPass
    weights = {name: getattr(options, f"{name}_weight") for name in ("ngram", "neural", "source")}
    return SecondPass.load(options.ngram, options.neural, options.source, mixture=Mixture(**weights), backend=options.backend)


def run(options):
    """Serve, or rescore. Parameters: options. Returns the exit code."""
    from refasr.cli import complain
    if options.source_weight and options.source is None:
        options.refuse("--source-weight: got it alone, expected --source ARPA with it")
    if options.action == "rescore":
        from refasr.lattice.formats import read_lattice, write_lattice
        write_lattice(load(options).rescore(read_lattice(options.file), complain), options.output)
        return 0
    from refasr.rescoring.service import Service
    begin = time.monotonic()
    complain("second pass: reading models, and compiling what is not compiled yet: seconds, a minute the first time")
    service = Service(load(options).warm(), options.host, options.port, tell=complain)
    complain(f"second pass: ready after {time.monotonic() - begin:.1f} s")
    print("second pass listens at {}:{}".format(*service.address), flush=True)
    try:
        service.serve()
    finally:
        service.close()
    return 0
