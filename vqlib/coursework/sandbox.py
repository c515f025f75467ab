"""A process of its own for a student's code, with limits, and on Linux without network and without other files.

bubblewrap (``bwrap``) makes it: a file system that holds the system's programs, Python, its packages and vqlib, all
read-only, and an empty folder in memory; no network; no other process in sight; all of it gone when the process ends.
Hidden tests, other students' notebooks and the reader's own files are not there to be read. Without bubblewrap nothing
of this holds but the limits on memory, time and file size.
"""

import dataclasses
import os
import pathlib
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time

from vqlib.coursework import wire

START = 120  # seconds that a process may take until it answers
PACKAGE = pathlib.Path(__file__).resolve().parents[1]  # vqlib
INSIDE = "/tmp/grading"  # a folder in the sandbox's own memory
ALONE = ("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session")
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")


class SandboxError(RuntimeError):
    """The process for a student's code did not start; the student has nothing to do with it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a student's process may use.

    Attributes
    ----------
    cell : seconds for one cell or one call of a test, after which it is interrupted
    total : seconds for the notebook and its tests, after which the process is ended
    memory, file, folder : MB of address space of one process, of one file, and of all files together
    """

    cell: float = 120
    total: float = 900
    memory: int = 8192
    file: int = 64
    folder: int = 256


def is_available():
    """Whether bubblewrap 0.8 or newer is installed and works here, which some containers do not let it."""
    if not shutil.which("bwrap"):
        return False
    test = [*ALONE, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def packages():
    """Return the folders in which Python finds what is installed."""
    return [path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")]


def visible():
    """Return which files and folders of this machine the sandbox shows, read-only."""
    paths = [*SYSTEM, sys.prefix, sys.base_prefix, *packages(), *site.getsitepackages(), PACKAGE]
    return [path for path in dict.fromkeys(map(pathlib.Path, paths)) if path.exists()]


def refuse_to_show(*paths):
    """Raise a SandboxError if one of these lies where students' code can read it."""
    for path in (pathlib.Path(path).resolve() for path in paths):
        for shown in visible():
            if path.is_relative_to(shown.resolve()):
                raise SandboxError(f"{path} lies in {shown}, where students' code can read. Move it elsewhere.")


class Sandbox:
    """A running worker; see :mod:`vqlib.coursework.worker`. Without isolation, a plain process in an empty folder."""

    def __init__(self, limits, isolated=True):
        self.folder = None if isolated else tempfile.mkdtemp(prefix="grading-")
        self.connection, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as log:
            self.process = subprocess.Popen(
                self._command(limits, theirs.fileno()),
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            try:
                wire.receive(self.connection, time.monotonic() + START)
            except (EOFError, OSError) as error:
                self.close()
                log.seek(0)
                said = log.read().decode(errors="replace")
                raise SandboxError(f"No process for a student's code:\n{said}") from error

    def ask(self, message, seconds):
        """Send a message, and return the answer that must be there within some seconds."""
        until = time.monotonic() + seconds
        self.connection.settimeout(seconds)
        self.connection.sendall(wire.encode(message))
        return wire.receive(self.connection, until)

    def close(self):
        """End it, and what it started."""
        self.connection.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self):
        folder = self.folder or INSIDE
        home = PACKAGE.parent if self.folder else f"{INSIDE}/site"
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": folder,
            "TMPDIR": f"{folder}/tmp",
            "PYTHONPATH": os.pathsep.join([str(home), *packages()]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "VQLIB_PROFILE": "quick",
            "KERAS_BACKEND": "tensorflow",
            "LANG": "C.UTF-8",
        }

    def _command(self, limits, number):
        worker = [sys.executable, "-m", "vqlib.coursework.worker", "--socket", str(number)]
        worker += ["--memory", str(limits.memory * 2**20), "--file", str(limits.file * 2**20)]
        worker += ["--cpu", str(int(limits.total) * (os.cpu_count() or 1) + 1)]
        if self.folder:
            return worker
        room = ["--size", str(limits.folder * 2**20), "--tmpfs"]
        command = [*ALONE, "--clearenv", "--uid", "1000", "--gid", "1000"]
        command += ["--proc", "/proc", "--dev", "/dev", *room, "/dev/shm", *room, "/tmp"]
        for path in visible():
            if path.is_symlink() and str(path) in SYSTEM:
                command += ["--symlink", str(path.readlink()), str(path)]
            elif path != PACKAGE:
                command += ["--ro-bind", str(path), str(path)]
        command += ["--dir", INSIDE, "--ro-bind", str(PACKAGE), f"{INSIDE}/site/vqlib", "--chdir", INSIDE]
        for name, value in self._environment().items():
            command += ["--setenv", name, value]
        return [*command, "--remount-ro", "/dev", "--remount-ro", "/", *worker]
