"""The public address is changed everywhere by one command, and back again."""

import os
import shutil
import subprocess
import sys

import pytest
from tracked import CONFIG, GITHUB, ROOT, addresses, tracked_files

pytestmark = pytest.mark.book


def test_address_is_set_everywhere_and_back_again(tmp_path):
    for path in tracked_files():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    before = {path: path.read_bytes() for path in tracked_files(tmp_path)}
    places = addresses(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}  # the copy's vqlib, wherever another one is installed

    def set_address(url):
        command = [sys.executable, tmp_path / "book" / "address.py", url]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert not set_address(f"{GITHUB}/some-school/their.book").returncode
    assert addresses(tmp_path) == [(place, "some-school", "their.book") for place, *_ in places]
    ids = (
        "import nbformat, run, sys; n = nbformat.read(sys.argv[1], 4); i = [c.id for c in n.cells]; run.name_cells(n);"
    )
    check = [
        sys.executable,
        "-c",
        f"{ids} assert i == [c.id for c in n.cells]",
        "coursework/student/01-quantization.ipynb",
    ]
    subprocess.run(check, cwd=tmp_path / "notebooks", env=environment, check=True)
    assert not set_address(CONFIG["repository"]["url"]).returncode
    assert {path: path.read_bytes() for path in tracked_files(tmp_path)} == before
    for url, message in (
        (CONFIG["repository"]["url"], "already"),
        (f"{GITHUB}/containers/bubblewrap", "no way back"),
        ("https://example.org/book", "no address of a repository"),
        (f"{GITHUB}/school/school.github.io", "folder of their own"),
    ):
        assert message in set_address(url).stderr, url
    assert {path: path.read_bytes() for path in tracked_files(tmp_path)} == before
