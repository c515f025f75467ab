"""The command line: ``python -m vqlib doctor``, ``compress`` and ``decompress``."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, given as a list of words; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m vqlib", description="What vqlib does from a terminal.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="look at the installation, the data and the settings, and say what to mend")
    compress = commands.add_parser("compress", help="write a picture as codes, in a file as short as a prior says")
    compress.add_argument("picture", help="PNG, JPEG or WebP, as high and wide as the model takes: 28 x 28")
    compress.add_argument("file", help="what to write, such as digit.vq")
    compress.add_argument("--model", default="mnist-ema", help="name of shipped models (default: %(default)s)")
    decompress = commands.add_parser("decompress", help="write the picture that such a file holds")
    decompress.add_argument("file")
    decompress.add_argument("picture", help="what to write, a PNG")
    words = parser.parse_args(arguments)
    # Imported only now that the words are known to be right: a usage line should take no time.
    if words.command == "doctor":
        from vqlib.book import doctor

        return doctor.main()
    from vqlib import _commands

    try:
        if words.command == "compress":
            print(_commands.compress_picture(words.picture, words.file, words.model))
        else:
            print(_commands.decompress_picture(words.file, words.picture))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
