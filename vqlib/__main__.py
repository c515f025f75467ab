"""The command line: ``python -m vqlib doctor``."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, given as a list of words; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m vqlib", description="What vqlib does from a terminal.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="look at the installation, the data and the settings, and say what to mend")
    parser.parse_args(arguments)
    from vqlib.book import doctor  # not before the words are known to be right: a usage line should take no time

    return doctor.main()


if __name__ == "__main__":
    sys.exit(main())
