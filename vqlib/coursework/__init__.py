"""Coursework: what a student's notebook needs.

A student's notebook makes an :class:`Assignment`, which gives it numbers of its own, checks answers and writes the file
to hand in. The checks that ship in the folder ``checks`` are made from the assignments' sources; hidden ones do not
ship. The package ``vqgrader`` beside vqlib grades a folder of notebooks. The extra ``vqlib[coursework]`` installs
otter-grader, which runs the checks.
"""

from vqlib.coursework.answers import call, compare, expect, probe
from vqlib.coursework.assignment import Assignment, rng

__all__ = ["Assignment", "call", "compare", "expect", "probe", "rng"]
