"""Files are written whole or not at all."""

import pathlib

import pytest

from vqlib._files import write_atomically


def test_file_is_written_and_its_folder_made(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    write_atomically(str(path), "é\n")
    assert path.read_bytes() == "é\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("dies", ["write_bytes", "replace"])
def test_interrupted_writing_leaves_the_old_file_and_the_next_one_succeeds(tmp_path, monkeypatch, dies):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def die(partial, *_):
        partial.write_text("ne")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, dies, die)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
