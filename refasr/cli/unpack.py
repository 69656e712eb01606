"""`refasr unpack`: a packed model as JSON and NumPy arrays."""

HELP = "write a .refasr file's contents as JSON and .npy files"
EPILOG = """examples:
  refasr unpack int8.refasr contents
  refasr pack contents again.refasr

The folder gets header.json, bits.json, codes/NAME.npy and plain/NAME.npy; packed again, it gives the same bytes.
"""


def add_arguments(parser):
    """Declare operands. Parameters: parser."""
    parser.add_argument("file", metavar="FILE", help="a .refasr file")
    parser.add_argument("folder", metavar="DIR", help="folder to make; an empty one may be there")
    parser.add_argument("--backend", choices=("fast", "reference"), default="fast", help="compiled, or readable and slow")


def run(options):
    """Unpack. Parameters: options. Returns the exit code."""
    from refasr.compress.container import read_contents
    from refasr.compress.folder import write_folder
    write_folder(options.folder, read_contents(options.file, options.backend))
    return 0
