"""The text of the chapters: each has the parts that a reader counts on."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))
every_chapter = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
CHOICE = re.compile(
    r'<details class="choice"><summary>(?P<choice>[^\n]+)</summary>\n\n'
    r"\*\*(?P<verdict>Right|Not this)\.\*\* (?P<reason>[^<]+?)\n\n</details>"
)


def section(path, heading):
    """Return the text of a chapter's section, up to the next heading of its level."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{path.name} has no section {heading!r}"
    return found[1]


def quiz(path):
    """Return a chapter's questions: for each its text and its choices, as (choice, verdict, reason)."""
    _, *parts = re.split(r"^\*\*\d\. (.+?)\*\*$", section(path, "Check yourself"), flags=re.MULTILINE | re.DOTALL)
    return [
        (question, [(each["choice"], each["verdict"], each["reason"]) for each in CHOICE.finditer(answers)])
        for question, answers in zip(parts[::2], parts[1::2], strict=True)
    ]


@every_chapter
def test_each_chapter_has_a_quiz(path):
    assert 4 <= len(quiz(path)) <= 6


@every_chapter
def test_each_question_has_one_right_answer_and_explains_every_choice(path):
    for question, choices in quiz(path):
        assert 3 <= len(choices) <= 4, question
        assert len({choice for choice, _, _ in choices}) == len(choices), question
        assert [verdict for _, verdict, _ in choices].count("Right") == 1, question
        assert min(len(reason) for *_, reason in choices) >= 40, question


@every_chapter
def test_every_fold_of_a_quiz_is_a_choice(path):
    text = section(path, "Check yourself")
    assert text.count("<details") == text.count("</details>") == len(CHOICE.findall(text))


@every_chapter
def test_place_and_length_of_a_choice_do_not_give_the_answer_away(path):
    places, longest = [], 0
    for _, choices in quiz(path):
        verdicts = [verdict for _, verdict, _ in choices]
        places.append(verdicts.index("Right"))
        longest += max(choices, key=lambda choice: len(choice[0]))[1] == "Right"
    assert len(set(places)) > 1
    assert longest <= 2 / 3 * len(places), f"the right answer is the longest in {longest} of {len(places)}"
