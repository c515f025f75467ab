"""How long a chapter trains: its profile."""

import enum
import os
from typing import Self


class Profile(enum.StrEnum):
    """The profiles, each with a `sentence` that says what it does."""

    sentence: str

    QUICK = "quick", "a few steps on small data, to see that everything runs; the results mean nothing"
    DEFAULT = "default", "what the chapter teaches is trained here, what earlier chapters trained is loaded"
    FULL = "full", "everything is trained from scratch, for hours in some chapters"

    def __new__(cls, value: str, sentence: str) -> Self:
        """Make a profile from its name and its sentence."""
        profile = str.__new__(cls, value)
        profile._value_ = value
        profile.sentence = sentence
        return profile


def profile() -> Profile:
    """Return the profile that the environment variable ``VQLIB_PROFILE`` names: "full", "quick" or "default".

    "full" trains everything from scratch on the whole dataset, "quick" a few steps on embedded data, and "default",
    without the variable, is what a reader wants: train what the chapter teaches, load what earlier chapters trained.

    It has nothing to do with a profiler.

    Returns
    -------
    Profile
        A string: ``vqlib.profile() == "quick"``.

    Raises
    ------
    ValueError
        If the variable names none of them.
    """
    name = os.environ.get("VQLIB_PROFILE") or "default"
    if name not in list(Profile):
        raise ValueError(f"VQLIB_PROFILE must be one of {', '.join(Profile)}, but is {name!r}.")
    return Profile[name.upper()]
