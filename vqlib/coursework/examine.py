"""Run one notebook and its tests, in a process of its own, and keep what came out."""

import json
import resource

import nbformat
from otter.nbmeta_config import NBMetadataConfig
from otter.test_files import create_test_file

from vqlib.coursework import report, wire
from vqlib.coursework.assignment import reason
from vqlib.coursework.session import GRACE, Names, Session
from vqlib.coursework.tables import write
from vqlib.coursework.worker import TooSlow, at_most


def notebook(cells, student, tests, limits, isolated):
    """Run a notebook and its tests; return what is kept of it, as JSON can hold it."""
    session = Session(cells, limits, isolated)
    try:
        names = Names(session, STUDENT_ID=student)
        questions = dict(question(path, names, session.left) for path in tests)
    finally:
        session.close()
    return {
        "questions": questions,
        "errors": {str(index): message for index, message in sorted(session.errors.items())},
        "late": sorted(session.late),
        "notebook": report.executed(cells, session.outputs),
    }


def question(path, names, left):
    """Run the tests of a question; return its name, and its score with what each test says.

    What a student's functions return can keep a test busy here, such as a number that it counts up to. So tests end
    with the time for all, too.
    """
    test, limit = create_test_file(str(path), NBMetadataConfig()), max(1, left() + GRACE)
    try:
        with at_most(limit):
            test.run(names)
    except TooSlow as error:
        slow = str(error)
    cases = []
    for case in test.test_case_results:
        why = "" if case.passed else wire.words(reason(case))
        cases.append({"passed": case.passed, "hidden": case.test_case.hidden, "reason": why})
    cases += [{"passed": False, "hidden": case.hidden, "reason": slow} for case in test.test_cases[len(cases) :]]
    return test.name, {"score": round(float(test.score), 4), "cases": cases}


def keep(result_path, page_path, key, cells, student, tests, limits, isolated):
    """Write the page to be marked by eye, if one is wanted, and then what :func:`notebook` gives: so it is done."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory * 2**20,) * 2)  # large answers come here, too
    result = notebook(cells, student, tests, limits, isolated)
    if page_path:
        write(page_path, report.by_eye(student, result["notebook"]))
    write(result_path, json.dumps({"key": key, **result}))


def kept(path, key):
    """Return what a file keeps of a notebook under a key, or None."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**found, "notebook": nbformat.from_dict(found["notebook"])} if found["key"] == key else None
