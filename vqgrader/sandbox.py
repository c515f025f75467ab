"""A process of its own for a student's code, with limits, and on Linux without network and without other files.

bubblewrap (``bwrap``) makes it: a file system that holds the system's programs, Python, its packages, vqlib and the
worker, all read-only, and an empty folder in memory; no network; no other process in sight; all of it gone when the
process ends. Hidden tests, other students' notebooks and the reader's own files are not there to be read. Without
bubblewrap nothing of this holds but the limits on memory, time and file size.
"""

import os
import pathlib
import platform
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

import vqlib
from vqgrader import wire
from vqgrader.limits import Limits

START = 120  # seconds that a process may take until it answers
VQLIB = pathlib.Path(vqlib.__file__).resolve().parent
HERE = pathlib.Path(__file__).resolve().parent
WORKER = tuple(HERE / name for name in ("__init__.py", "worker.py", "wire.py"))  # of this package, no more is seen
INSIDE = "/tmp/grading"  # a folder in the sandbox's own memory
ALONE = ("bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session")
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")


class SandboxError(RuntimeError):
    """The process for a student's code did not start; the student has nothing to do with it."""


def is_available() -> bool:
    """Return whether bubblewrap 0.8 or newer is installed and works here, which some containers do not let it."""
    if not shutil.which("bwrap"):
        return False
    test = [*ALONE, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def counts_processes() -> bool:
    """Return whether Linux counts the processes of a sandbox apart from the user's other ones, as it does from 5.14 on.

    Root's are never limited, those of a sandbox that root started neither.
    """
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    return version is not None and (int(version[1]), int(version[2])) >= (5, 14)


def packages() -> list[str]:
    """Return the folders in which Python finds what is installed."""
    return [path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")]


def visible() -> list[pathlib.Path]:
    """Return which files and folders of this machine the sandbox shows, read-only."""
    paths: list[str | pathlib.Path] = [
        *SYSTEM,
        sys.prefix,
        sys.base_prefix,
        *packages(),
        *site.getsitepackages(),
        VQLIB,
        *WORKER,
    ]
    return [path for path in dict.fromkeys(pathlib.Path(path) for path in paths) if path.exists()]


def refuse_to_show(*paths: pathlib.Path) -> None:
    """Raise a SandboxError if one of these lies where students' code can read it."""
    for path in (path.resolve() for path in paths):
        for shown in visible():
            if path.is_relative_to(shown.resolve()):
                raise SandboxError(f"{path} lies in {shown}, where students' code can read. Move it elsewhere.")


class Sandbox:
    """A running worker; see :mod:`vqgrader.worker`. Without isolation, a plain process in an empty folder."""

    def __init__(self, limits: Limits, isolated: bool = True) -> None:
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

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message, and return the answer that must be there within some seconds."""
        until = time.monotonic() + seconds
        self.connection.settimeout(seconds)
        self.connection.sendall(wire.encode(message))
        return wire.receive(self.connection, until)

    def close(self) -> None:
        """End it, and what it started."""
        self.connection.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        folder = self.folder or INSIDE
        ours = [VQLIB.parent, HERE.parent] if self.folder else [f"{INSIDE}/site"]
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": folder,
            "TMPDIR": f"{folder}/tmp",
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([*map(str, ours), *packages()])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "VQLIB_PROFILE": "quick",
            "KERAS_BACKEND": "tensorflow",
            "LANG": "C.UTF-8",
        }

    def _command(self, limits: Limits, number: int) -> list[str]:
        worker = [sys.executable, "-m", "vqgrader.worker", "--socket", str(number)]
        worker += ["--memory", str(limits.memory * 2**20), "--file", str(limits.file * 2**20)]
        worker += ["--cpu", str(int(limits.total) * (os.cpu_count() or 1) + 1)]
        if self.folder:
            return worker
        if counts_processes():
            worker += ["--processes", str(limits.processes)]
        room = ["--size", str(limits.folder * 2**20), "--tmpfs"]
        command = [*ALONE, "--clearenv", "--uid", "1000", "--gid", "1000"]
        command += ["--proc", "/proc", "--dev", "/dev", *room, "/dev/shm", *room, "/tmp"]
        for path in visible():
            if path.is_symlink() and str(path) in SYSTEM:
                command += ["--symlink", str(path.readlink()), str(path)]
            elif path not in (VQLIB, *WORKER):
                command += ["--ro-bind", str(path), str(path)]
        command += ["--dir", INSIDE, "--chdir", INSIDE, "--ro-bind", str(VQLIB), f"{INSIDE}/site/vqlib"]
        for path in WORKER:
            command += ["--ro-bind", str(path), f"{INSIDE}/site/vqgrader/{path.name}"]
        for name, value in self._environment().items():
            command += ["--setenv", name, value]
        return [*command, "--remount-ro", "/dev", "--remount-ro", "/", *worker]
