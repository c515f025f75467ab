"""The files of the repository, and the addresses in them."""

import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
GITHUB = "https://github.com"
# Other people's repositories and sites that the book links to.
OTHERS = {"containers/bubblewrap", "googlecolab/backend-info", "owner/name"}
TEXT = {".cff", ".css", ".ipynb", ".js", ".json", ".md", ".py", ".svg", ".toml", ".txt", ".yaml", ".yml", ""}


def tracked_files(root=ROOT):
    """Return all files that are, or are about to be, in the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := root / name).is_file()]


def matches(pattern, root=ROOT):
    """Return (place, match) for each match of a pattern in the repository's text."""
    return [
        (f"{path.relative_to(root)}:{number}", match)
        for path in tracked_files(root)
        if path.suffix in TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in re.finditer(pattern, line)
    ]


def addresses(root=ROOT):
    """Return (place, owner, name) for each address of a repository on GitHub, or of published pages."""
    hosts = r"github\.com|colab\.research\.google\.com/github|raw\.githubusercontent\.com"
    forms = (rf"(?:{hosts})/([\w.-]+)/", r"([\w-]+)\.github\.io/")
    found = [match for form in forms for match in matches(rf"{form}([\w.-]+?)(?:\.git\b|(?![\w.-])|\.(?=\s|$))", root)]
    return [(place, match[1], match[2]) for place, match in found if f"{match[1]}/{match[2]}" not in OTHERS]
