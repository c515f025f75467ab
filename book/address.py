"""Set the public address of the repository everywhere.

    python book/address.py https://github.com/owner/name

The address stands in _config.yml, and in every file that leads a reader somewhere: links to GitHub, to Colab, to the
published pages, and what the first cells of notebooks install. Ids of cells follow, since they are made of the cells'
text. A second call with the old address puts every byte back.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import nbformat
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))

import run  # noqa: E402, the script that makes the notebooks


def split(url):
    """Return owner and name of an address on GitHub; end with what is wrong with another one."""
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+?)(?:\.git)?/?", url)
    if not found:
        sys.exit(f"{url!r} is no address of a repository. Give one such as https://github.com/owner/name")
    if found[2].endswith(".github.io"):
        sys.exit(f"The pages of {found[2]} have no folder of their own, which links of the book count on. Rename it.")
    return found[1], found[2]


def addresses(owner, name):
    """Return a pattern for each form of an address, and what stands for owner and name in it."""
    after = r"(?!\w|-|\.(?!git\b)\w)"
    hosts = ("github.com", "colab.research.google.com/github", "raw.githubusercontent.com")
    forms = [(f"{host}/{owner}/{name}", host + "/{}/{}") for host in hosts]
    forms.append((f"{owner}.github.io/{name}", "{}.github.io/{}"))
    return [(re.compile(rf"(?<![\w.-]){re.escape(old)}{after}"), new) for old, new in forms]


def texts():
    """Return (path, text) for each file of the repository that holds text."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    found = []
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            try:
                found.append((path, path.read_bytes().decode("utf-8")))
            except UnicodeDecodeError:
                continue  # weights and pictures
    return found


def renamed(text):
    """Return a notebook's text with the ids of its cells as the script that makes the notebooks gives them."""
    notebook = nbformat.reads(text, as_version=4)
    run.name_cells(notebook)
    return nbformat.writes(notebook) + "\n"


def change(old, new):
    """Put a new owner and name in place of the old ones; return how many files changed."""
    files = texts()
    taken = [path for path, text in files for pattern, _ in addresses(*new) if pattern.search(text)]
    if taken:
        sys.exit(f"{taken[0].relative_to(ROOT)} leads to {'/'.join(new)} already; then there would be no way back.")
    changed = 0
    for path, before in files:
        after = before
        for pattern, form in addresses(*old):
            after = pattern.sub(form.format(*new), after)
        if after != before:
            path.write_bytes((renamed(after) if path.suffix == ".ipynb" else after).encode())
            changed += 1
    return changed


def main():
    """Set the address that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    new = split(parser.parse_args().url)
    old = split(yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"])
    if old == new:
        sys.exit(f"The address is {'/'.join(new)} already.")
    print(f"{change(old, new)} files now lead to https://github.com/{'/'.join(new)}")


if __name__ == "__main__":
    main()
