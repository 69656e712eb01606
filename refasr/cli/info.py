"""`refasr info`: the model card."""

import json

HELP = "print a model's card: sizes, accuracy, delay, and what it was trained on"
EPILOG = """examples:
  refasr info
  refasr info --model work/float/model.npz --json

Rates are fractions, with their 95 % bootstrap interval; times are seconds.
"""


def add_arguments(parser):
    """Declare options. Parameters: parser."""
    parser.add_argument("--model", default="default", metavar="NAME|PATH", help="a shipped model's name or a model file")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(options):
    """Print the card. Parameters: options. Returns the exit code."""
    from refasr import card
    from refasr.shipped import model_path
    from refasr.transducer.model_file import load_model
    path = model_path(options.model)
    facts = card.describe(path, load_model(path))
    shipped = {name: str(file) for name, file in card.shipped_models().items()}
    if options.json:
        print(json.dumps(facts | {"shipped": shipped}, indent=1))
        return 0
    print(card.as_text(facts))
    for i, (name, file) in enumerate(shipped.items()):
        print(f"{'' if i else 'shipped models':<15}{name}: {file}")
    return 0
