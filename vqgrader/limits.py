"""What a student's process may use."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a student's process may use.

    Attributes
    ----------
    cell : seconds for one cell or one call of a test, after which it is interrupted
    total : seconds for the notebook and its tests, after which the process is ended
    memory, file, folder : MB of address space of one process, of one file, and of all files together
    processes : how many processes and threads there may be at a time, in the sandbox
    """

    cell: float = 120
    total: float = 900
    memory: int = 8192
    file: int = 64
    folder: int = 256
    processes: int = 1000
