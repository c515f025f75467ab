"""A process of its own for a student's code, with limits, and on Linux without network and without other files.

bubblewrap (``bwrap``) makes it: a file system that holds Python, its packages and vqlib, all read-only, and an empty
folder in memory; no network; no other process in sight; all of it gone when the process ends. Hidden tests, other
students' notebooks and the reader's own files are not there to be read. Without bubblewrap nothing of this holds but
the limits on memory, time and file size.
"""

import dataclasses
import os
import pathlib
import shutil
import site
import socket
import subprocess
import sys
import tempfile

from vqlib.coursework import wire

START = 120  # seconds that a process may take until it answers
PACKAGE = pathlib.Path(__file__).resolve().parents[1]  # vqlib
INSIDE = "/tmp/grading"  # a folder in the sandbox's own memory


class SandboxError(RuntimeError):
    """The process for a student's code did not start; the student has nothing to do with it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a student's process may use.

    Attributes
    ----------
    cell : seconds for one cell or one call of a test, after which it is interrupted
    total : seconds for the notebook and its tests, after which the process is ended
    memory, file, folder : MB of address space, of one file, and of all files together
    """

    cell: float = 120
    total: float = 900
    memory: int = 8192
    file: int = 64
    folder: int = 256


def is_available():
    """Whether bubblewrap is installed and works here, which some containers do not let it."""
    bwrap = shutil.which("bwrap")
    if not bwrap:
        return False
    test = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def start(limits, isolated=True):
    """Start a worker; return the process, and the socket on which it answers.

    With ``isolated=False`` it is a plain process in an empty folder.
    """
    ours, theirs = socket.socketpair()
    worker = [sys.executable, "-m", "vqlib.coursework.worker", "--socket", str(theirs.fileno())]
    worker += ["--memory", str(limits.memory * 2**20), "--file", str(limits.file * 2**20)]
    worker += ["--cpu", str(int(limits.total) * (os.cpu_count() or 1) + 1)]
    folder = tempfile.mkdtemp(prefix="grading-") if not isolated else INSIDE
    packages = [path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")]
    home = PACKAGE.parent if not isolated else pathlib.Path(INSIDE) / "site"
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": folder,
        "TMPDIR": f"{folder}/tmp",
        "PYTHONPATH": os.pathsep.join([str(home), *packages]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VQLIB_PROFILE": "quick",
        "KERAS_BACKEND": "tensorflow",
        "LANG": "C.UTF-8",
    }
    command = [*_bubblewrap(limits, packages, environment), *worker] if isolated else worker
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=None if isolated else folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(START)
        try:
            wire.receive(ours)
        except (EOFError, OSError) as error:
            ours.close()
            process.kill()
            process.wait()
            log.seek(0)
            raise SandboxError(f"No process for a student's code:\n{log.read().decode(errors='replace')}") from error
    return process, ours


def _bubblewrap(limits, packages, environment):
    """Return the beginning of the command that makes the sandbox."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--uid", "1000"]
    command += ["--gid", "1000", "--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(limits.folder * 2**20), "--tmpfs", "/tmp"]
    system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts"]
    python = [sys.prefix, sys.base_prefix, *packages, *site.getsitepackages()]
    for path in dict.fromkeys([*system, *python]):
        if pathlib.Path(path).is_symlink() and path in system:
            command += ["--symlink", str(pathlib.Path(path).readlink()), path]
        elif pathlib.Path(path).exists():
            command += ["--ro-bind", path, path]
    command += ["--dir", INSIDE, "--ro-bind", str(PACKAGE), f"{INSIDE}/site/vqlib", "--chdir", INSIDE]
    command += ["--remount-ro", "/"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    return command
