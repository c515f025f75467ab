"""Coursework: what a student's notebook needs, and what grades it.

A student's notebook makes an :class:`Assignment`, which gives it numbers of its own, checks answers and writes the file
to hand in. The checks that ship in the folder ``checks`` are made from the assignments' sources; hidden ones do not
ship. ``python -m vqlib.coursework.grade`` grades a folder of notebooks. The extra ``vqlib[coursework]`` installs
otter-grader, which all of this stands on.
"""

from vqlib.coursework.answers import call, compare, expect, probe
from vqlib.coursework.assignment import Assignment, rng

__all__ = ["Assignment", "call", "compare", "expect", "probe", "rng"]
