"""What must agree between files that no import ties together."""

import importlib.metadata
import pathlib
import re
import shlex
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from tracked import CONFIG, GITHUB, ROOT, addresses, matches, tracked_files

import vqlib

pytestmark = pytest.mark.lint

OWNER, NAME = CONFIG["repository"]["url"].removeprefix(f"{GITHUB}/").split("/")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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
    found = addresses()
    wrong = [f"{place}: {owner}/{name}" for place, owner, name in found if (owner, name) != (OWNER, NAME)]
    assert not wrong, f"_config.yml says {OWNER}/{NAME}; these say something else:\n" + "\n".join(wrong)
    assert len(found) > 50


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
    page = (ROOT / "book" / "getting-started.md").read_text()
    assert re.search(r'^pip install -c (\S+) -e "(\S+)"', page, re.MULTILINE).groups() == makefile.groups()
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


@pytest.mark.parametrize("extra", [None, "chapters", "book", "test", "grader"])
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
        assert Version(colab[name]).release[:2] == lowest.release[:2], (
            f"{name} begins at {lowest}, Colab has {colab[name]}"
        )
        assert requirement.specifier.contains(pinned[name]), name


def test_students_add_on_colab_what_is_tested_with_colabs_versions():
    tested = re.search(r"^STUDENTS_ADD = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert {normal(name) for name in tested} <= set(pins("constraints.txt"))
    notebooks = sorted((ROOT / "notebooks" / "coursework" / "student").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        (line,) = re.findall(r'%pip install --quiet --no-deps (.*?)(?:\\n)?",?$', path.read_text(), re.MULTILINE)
        added = {Requirement(each.removesuffix("{version}")).name for each in shlex.split(line.replace('\\"', '"'))}
        assert added == {*tested, "vqlib"}, path.name


def test_version_is_written_once_and_cited_right():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vqlib.__version__
    assert importlib.metadata.version("vqlib") == vqlib.__version__
    assert citation["repository-code"] == PROJECT["urls"]["Repository"] == CONFIG["repository"]["url"]


def test_pages_install_the_vqlib_that_first_cells_install():
    places = re.compile(r"notebooks/\d|book/")
    which = r"vqlib\[\w+\]( @ git\+[\w:/.-]+|==\d+\.\d+\.\d+|)"
    found = {place: match[1] for place, match in matches(which) if places.match(place)}
    assert len(found) > len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert len(set(found.values())) == 1, found
    assert all(found.values()), found


def test_what_needs_a_certain_python_says_which():
    prefix = "Programming Language :: Python :: 3."
    minor = [int(line.removeprefix(prefix)) for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert PROJECT["requires-python"] == f">=3.{min(minor)}"
    for name in ("README.md", "book/getting-started.md", "book/troubleshooting.md", "Makefile"):
        assert f"Python 3.{min(minor)} to 3.{max(minor)}" in (ROOT / name).read_text(), name
    assert f"(3, {min(minor)}) <= sys.version_info[:2] <= (3, {max(minor)})" in (ROOT / "Makefile").read_text()


def test_changelog_begins_with_what_is_not_released_and_goes_on_as_the_recipe_says():
    first, *others = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    recipe = re.findall(r"`## (\[.*?)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert recipe[0] == first == "[Unreleased]"
    example = recipe[1].replace("YYYY-MM-DD", "2026-12-01")
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in (example, *others))


def test_readme_links_every_chapter_to_colab():
    readme = (ROOT / "README.md").read_text()
    base = f"https://colab.research.google.com/github/{OWNER}/{NAME}/blob/{CONFIG['repository']['branch']}"
    chapters = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
    assert not [path.stem for path in chapters if f"({base}/notebooks/{path.stem}.ipynb)" not in readme]


def test_readme_leads_somewhere_from_the_package_index_too():
    """There, no file of the repository lies beside it."""
    branch = CONFIG["repository"]["branch"]
    ours = re.compile(
        rf"https://(?:github\.com/{OWNER}/{NAME}/blob/{branch}|raw\.githubusercontent\.com/{OWNER}/{NAME}/{branch}"
        rf"|colab\.research\.google\.com/github/{OWNER}/{NAME}/blob/{branch}|{OWNER}\.github\.io/{NAME})/(.*)"
    )
    targets = re.findall(r"\]\((\S+?)\)|<(https:\S+?)>", (ROOT / "README.md").read_text())
    for target in (first or second for first, second in targets):
        assert target.startswith("https://"), target
        if found := ours.fullmatch(target):
            path = ROOT / found[1]
            sources = [path, path.with_suffix(".md"), path.with_suffix(".ipynb")] if path.suffix == ".html" else [path]
            assert any(source.exists() for source in sources), target


def workflows():
    """Return each workflow, parsed, by its name."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def test_workflows_ask_for_no_more_than_they_need():
    needed = {("ci", "deploy"): {"pages", "id-token"}, ("release", "publish"): {"id-token"}}
    for name, workflow in workflows().items():
        assert workflow["permissions"] == {"contents": "read"}
        for job_name, job in workflow["jobs"].items():
            asked = {key for key, value in job.get("permissions", {}).items() if value != "read"}
            assert asked == needed.get((name, job_name), set())


def test_what_is_published_has_passed_the_tests():
    for name, job in (("ci", "deploy"), ("release", "publish")):
        jobs, before = workflows()[name]["jobs"], job
        while "needs" in jobs[before]:
            before = jobs[before]["needs"]
        assert jobs[before] == {"uses": "./.github/workflows/tests.yml"}


def test_actions_are_pinned_and_keep_no_password():
    used = [found for found in matches(r"uses: (\S+)@(\S+)(.*)") if found[0].startswith(".github/")]
    assert len(used) > 10
    assert not [place for place, each in used if not re.fullmatch(r"[0-9a-f]{40}", each[2])]
    assert not [place for place, each in used if not re.fullmatch(r" # v\d+\.\d+\.\d+", each[3])]
    assert len({(each[1], each[2]) for _, each in used}) == len({each[1] for _, each in used})
    steps = [step for each in workflows().values() for job in each["jobs"].values() for step in job.get("steps", [])]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_target_of_make_has_a_line_of_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", makefile, re.MULTILINE)[1].replace("\\\n", " ").split()
    assert sorted(phony) == sorted(re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE))
