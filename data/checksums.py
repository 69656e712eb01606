"""SHA-256 of every data file, as the last table of data/README.md.

    python data/checksums.py            rewrite the table
    python data/checksums.py --check    exit 1 if it is out of date, saying where

Scripts (.py, .sh) and configurations (.toml) are not data; git guards them.
"""
import hashlib
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
README = FOLDER / "README.md"
HEADING = "## Checksums\n"
EXCEPT = (".py", ".sh", ".toml", ".pyc", ".part", ".tmp")


def data_files(folder=FOLDER):
    """Every data file, in order. Parameters: folder. Returns a list of Path."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in EXCEPT and path.name != README.name
                  and not any(part.startswith(".") for part in path.relative_to(folder).parts))


def table(folder=FOLDER):
    """The table. Parameters: folder. Returns a list of lines."""
    contents = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in data_files(folder)]
    rows = [f"| {name} | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |"
            for name, content in contents]
    return ["| file | bytes | SHA-256 |", "|---|---|---|", *rows]


def main(arguments):
    """Rewrite or check the table. Parameters: arguments. Returns the exit code."""
    before, heading, after = README.read_text(encoding="utf-8").partition(HEADING)
    found, wanted = after.split("\n"), table()
    if arguments == ["--check"]:
        changed = sorted(set(wanted) ^ {line for line in found if line.startswith("|")})
        print("\n".join(changed[:10]) or "data/README.md agrees with the files", file=sys.stderr)
        return 1 if changed else 0
    note = "\nWritten by `python data/checksums.py`; a test compares.\n\n"
    README.write_text(before + HEADING + note + "\n".join(wanted) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
