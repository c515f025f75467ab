"""The grader of the coursework: it runs a folder of students' notebooks, tests their answers and writes scores.

``python -m vqgrader grade --help`` says how. Whoever learns needs none of this: what a student's notebook imports is
:mod:`vqlib.coursework`. Of this package, a student's process sees `worker` and `wire`, no more.
"""
