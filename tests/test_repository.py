"""What must agree between files that no import ties together."""

import importlib.metadata
import pathlib
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import vqlib

pytestmark = pytest.mark.lint

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
OWNER, NAME = CONFIG["repository"]["url"].removeprefix("https://github.com/").split("/")
# Other people's repositories and sites that the book links to.
OTHERS = {"containers/bubblewrap", "keras-team/keras-io", "googlecolab/backend-info", "owner/name"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = {".cff", ".css", ".ipynb", ".js", ".json", ".md", ".py", ".svg", ".toml", ".txt", ".yaml", ".yml", ""}


def tracked_files():
    """Return all files that are, or are about to be, in the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def matches(pattern):
    """Return (place, match) for each match of a pattern in the repository's text."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", match)
        for path in tracked_files()
        if path.suffix in TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in re.finditer(pattern, line)
    ]


def normal(name):
    """Return a package's name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path):
    """Return the pinned versions of a file of constraints, by name in pip's normal form."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def requirements(extra=None):
    """Return what ``pip install vqlib`` pulls itself, or what an extra adds, by name in pip's normal form."""
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            for other in requirement.extras:
                found |= requirements(other)
        else:
            found[normal(requirement.name)] = requirement
    return found


def test_public_address_is_that_of_the_configuration():
    found = matches(
        r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+)/([\w.-]+?)(?:\.git\b|(?![\w.-])|\.(?=\s|$))"
    )
    wrong = [
        f"{place}: {match[0]}" for place, match in found if f"{match[1]}/{match[2]}" not in {f"{OWNER}/{NAME}", *OTHERS}
    ]
    assert not wrong, f"_config.yml says {OWNER}/{NAME}; these say something else:\n" + "\n".join(wrong)
    assert len(found) > 5


def test_address_of_the_pages_is_that_of_the_configuration():
    wrong = [
        f"{place}: {match[0]}"
        for place, match in matches(r"([\w-]+)\.github\.io/([\w-]+)")
        if (match[1], match[2]) != (OWNER, NAME)
    ]
    assert not wrong, f"_config.yml says {OWNER}/{NAME}; these say something else:\n" + "\n".join(wrong)


def test_no_file_names_a_package_index_or_a_folder_of_one_machine():
    patterns = (r"--(extra-)?index-url", r"--find-links", r"[/.]pypi\.org/simple", r"(?<![\w.:/])/(home|root|Users)/\w")
    wrong = [f"{place}: {match[0]}" for pattern in patterns for place, match in matches(pattern)]
    here = pathlib.Path(__file__).name
    assert not [place for place in wrong if here not in place]


def test_no_file_is_above_8_megabytes():
    large = {str(path.relative_to(ROOT)): path.stat().st_size / 2**20 for path in tracked_files()}
    assert not {name: size for name, size in large.items() if size > 8}


def test_nothing_generated_is_tracked():
    allowed = re.compile(r"\.ipynb$|\.weights\.h5$|/_static/[\w-]+\.(png|svg)$|/_templates/[\w-]+\.html$")
    generated = re.compile(r"\.(ipynb|h5|keras|npz|npy|png|jpg|svg|html|whl|pyc|egg-info)(/|$)|(^|/)(_build|runs)/")
    names = [str(path.relative_to(ROOT)) for path in tracked_files()]
    assert not [name for name in names if generated.search(name) and not allowed.search(name)]


def test_conda_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    makefile = re.search(r'\(PIP\) -c (\S+) -e "(\S+)"', (ROOT / "Makefile").read_text())
    assert pip == [f"-c {makefile[1]}", f"-e {makefile[2]}"]
    assert (ROOT / makefile[1]).is_file()
    assert "python=3.11" in environment["dependencies"]


def test_installed_versions_are_the_pinned_ones():
    installed = {normal(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    differing = {
        name: f"{installed[name]} is installed, {version} is pinned"
        for name, version in pins("constraints.txt").items()
        if name in installed and installed[name] != version
    }
    assert not differing, "Run `make install`, or bring constraints.txt up to date (see CONTRIBUTING.md)."


@pytest.mark.parametrize("extra", [None, "chapters", "book", "test", "coursework"])
def test_all_that_is_required_is_pinned(extra):
    pinned = pins("constraints.txt")
    queue, seen = list(requirements(extra)), set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append(normal(requirement.name))
    assert seen <= set(pinned), f"not in constraints.txt: {sorted(seen - set(pinned))}"


def test_plain_install_pulls_only_what_vqlib_imports():
    assert set(requirements()) == {"keras", "matplotlib", "numpy", "pillow", "scikit-learn", "tensorflow"}
    assert set(requirements("chapters")) == {"tensorflow-probability", "tf-keras"}
    for extra in ("book", "test"):
        assert set(requirements("chapters")) <= set(requirements(extra))


def test_supported_range_begins_at_colabs_versions_and_holds_the_pinned_ones():
    colab, pinned = pins("constraints-colab.txt"), pins("constraints.txt")
    for name, requirement in {**requirements(), **requirements("chapters")}.items():
        (lowest,) = (Version(each.version) for each in requirement.specifier if each.operator == ">=")
        assert Version(colab[name]).release[:2] == lowest.release[:2], f"{name} begins at {lowest}, Colab has {colab[name]}"
        assert requirement.specifier.contains(pinned[name]), name


def test_version_is_written_once_and_cited_right():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vqlib.__version__
    assert importlib.metadata.version("vqlib") == vqlib.__version__
    assert citation["repository-code"] == CONFIG["repository"]["url"]


def test_readme_links_every_chapter_to_colab():
    readme = (ROOT / "README.md").read_text()
    base = f"https://colab.research.google.com/github/{OWNER}/{NAME}/blob/{CONFIG['repository']['branch']}"
    chapters = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
    assert not [path.stem for path in chapters if f"({base}/notebooks/{path.stem}.ipynb)" not in readme]


def test_workflows_ask_for_no_more_than_they_need():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        asked = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
        writes = {key for permissions in asked for key, value in permissions.items() if value != "read"}
        assert writes <= ({"pages", "id-token"} if path.stem == "pages" else set())
