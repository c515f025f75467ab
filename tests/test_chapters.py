"""The text of the chapters: each has the parts that a reader counts on."""

import json
import pathlib
import re

import pytest

pytestmark = pytest.mark.lint

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
def test_questions_and_choices_of_a_quiz_are_shown_as_they_are_meant(path):
    """Markdown directly behind a fold stays raw text, and a fold's summary knows no mathematics."""
    text = section(path, "Check yourself")
    assert not re.findall(r"</details>\n(?!\n|<details)[^\n]+", text)
    assert not re.findall(r"<summary>[^\n]*\$[^\n]*</summary>", text)


@every_chapter
def test_place_and_length_of_a_choice_do_not_give_the_answer_away(path):
    places, longest = [], 0
    for _, choices in quiz(path):
        verdicts = [verdict for _, verdict, _ in choices]
        places.append(verdicts.index("Right"))
        longest += max(choices, key=lambda choice: len(choice[0]))[1] == "Right"
    assert set(places) == {0, 1, 2}, "no place is never right"
    assert max(map(places.count, places)) <= len(places) / 2, places
    assert longest <= 2 / 3 * len(places), f"the right answer is the longest in {longest} of {len(places)}"


@every_chapter
def test_hint_check_and_solution_of_an_exercise_lie_behind_folds(path):
    _, *exercises = re.split(r"^### Exercise ", section(path, "Exercises"), flags=re.MULTILINE)
    with_a_check = 0
    for exercise in exercises:
        cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", exercise, re.MULTILINE | re.DOTALL)
        open_cells = [cell for cell in cells if not re.search(r"^:?tags: \[.*hide-input.*\]$", cell, re.MULTILINE)]
        name = exercise.splitlines()[0]
        if "vqlib.check(" not in exercise:
            assert "<details><summary>Answer</summary>" in exercise, name
            continue
        with_a_check += 1
        assert "<details><summary>Hint</summary>" in exercise, name
        assert sum("# @title Solution" in cell for cell in cells) == 1, name
        assert not [cell for cell in open_cells if "vqlib.check(" in cell or "# @title" in cell], name
    assert with_a_check >= 3


def wide_lines(text):
    """Return the lines of code above 80 characters that a chapter's page shows, folded cells left out."""
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shown = [cell for cell in cells if not re.search(r"^:?tags: \[.*hide-(input|cell).*\]$", cell, re.MULTILINE)]
    code = [re.sub(r"\A---\n.*?^---\n", "", cell, flags=re.MULTILINE | re.DOTALL) for cell in shown]
    return [line for cell in code for line in cell.splitlines() if len(line) > 80]


@every_chapter
def test_code_fits_the_page(path):
    assert not wide_lines(path.read_text())


def test_code_that_does_not_fit_is_found():
    wide = "x = 1  # " + 80 * "-"
    cell = "```{code-cell} ipython3\n%s" + wide + "\n```\n"
    assert wide_lines(cell % "" + cell % ":tags: [hide-input]\n\n") == [wide]


CAPTION = re.compile(r"\*Figure (\d+\.\d+)\. [^*]+\*")


def cells_of(stem):
    """Return the cells of a chapter's notebook, with their outputs: for each its kind, text, tags and pictures."""
    found = []
    for cell in json.loads((ROOT / "notebooks" / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"]:
        pictures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        text, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        found.append({"kind": cell["cell_type"], "text": text, "tags": tags, "pictures": len(pictures)})
    return found


def captions_behind(cells, i):
    """Return the numbers of the captions that stand directly behind a cell."""
    following, found = cells[i + 1 : i + 2], []
    if following and following[0]["kind"] == "markdown":
        for paragraph in following[0]["text"].split("\n\n"):
            if not (match := CAPTION.fullmatch(paragraph.strip())):
                break
            found.append(match[1])
    return found


def faults_of_setup(cells):
    """Return what is wrong with the cells of a chapter that come before its first picture."""
    code = [cell for cell in cells if cell["kind"] == "code"]
    first = next(i for i, cell in enumerate(code) if cell["pictures"])
    faults = [f"before the picture: {cell['text'][:40]}" for cell in code[:first] if "setup" not in cell["tags"]]
    faults += [f"set-up behind the picture: {cell['text'][:40]}" for cell in code[first:] if "setup" in cell["tags"]]
    titles = ("# @title Setup\n", "# @title Imports and data\n")
    for cell, title in zip(code[:first], titles, strict=False):
        if not (cell["text"].startswith(title) and "hide-cell" in cell["tags"]):
            faults.append(f"no folded {title.strip()}: {cell['text'][:40]}")
    return faults


def faults_of_captions(number, cells):
    """Return what is wrong with the captions of a chapter."""
    behind = {i: captions_behind(cells, i) for i, cell in enumerate(cells) if cell["pictures"]}
    faults = [f"no caption: {cells[i]['text'][:60]}" for i, captions in behind.items() if not captions]
    placed = [caption for captions in behind.values() for caption in captions]
    if placed != [f"{number}.{i + 1}" for i in range(len(placed))]:
        faults.append(f"not in order: {', '.join(placed)}")
    text = "\n\n".join(cell["text"] for cell in cells if cell["kind"] == "markdown")
    beginnings = re.findall(r"^[*_]*Figure (\d+\.\d+)\.", text, re.MULTILINE)
    if beginnings != placed:
        faults.append(f"written {', '.join(beginnings)}, but directly behind a figure {', '.join(placed)}")
    return faults


@every_chapter
def test_chapter_begins_with_a_picture_but_for_its_setup_and_each_figure_has_a_caption_with_its_number(path):
    cells = cells_of(path.stem)
    assert not faults_of_setup(cells) + faults_of_captions(int(path.stem[:2]), cells)


def notebook_of(words):
    """Return cells: `s` and `i` the two of set-up, `p` a picture, `c` code, a number its caption, all else text."""
    setup = {"s": "# @title Setup\nimport", "i": "# @title Imports and data\nimport"}
    cells = []
    for word in words.split():
        tags = ["setup", "hide-cell"] if word in setup else []
        if word in ("s", "i", "p", "c"):
            text = setup.get(word, f"code {word}")
            cells.append({"kind": "code", "text": text, "tags": tags, "pictures": int(word == "p")})
            continue
        text = f"*Figure {word}. What to\nsee.*" if re.fullmatch(r"\d\.\d", word) else word.replace("_", " ")
        if cells and cells[-1]["kind"] == "markdown":
            cells[-1]["text"] += f"\n\n{text}"
        else:
            cells.append({"kind": "markdown", "text": text, "tags": [], "pictures": 0})
    return cells


def test_chapter_that_is_right_has_no_fault():
    cells = notebook_of("Title s i Text p 3.1 Text c p 3.2 c Text *Tables*:_what p 3.3 3.4")
    assert not faults_of_setup(cells) + faults_of_captions(3, cells)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("s i c p 3.1", "before the picture: code c"),
        ("s i p 3.1 i", "set-up behind the picture: # @title Imports"),
        ("s s p 3.1", "no folded # @title Imports and data: # @title Setup"),
        ("s i p Text", "no caption: code p"),
        ("s i p", "no caption: code p"),
        ("s i p c 3.1", "no caption: code p"),
        ("s i p 3.2", "not in order: 3.2"),
        ("s i p 2.1", "not in order: 2.1"),
        ("s i p 3.1 p 3.1", "not in order: 3.1, 3.1"),
        ("s i p 3.2 p 3.1", "not in order: 3.2, 3.1"),
        ("s i p Text 3.1", "written 3.1, but directly behind a figure "),
        ("s i p 3.1 c 3.2", "written 3.1, 3.2, but directly behind a figure 3.1"),
        ("s i p 3.1 p Figure_3.2._Without_stars.", "no caption: code p"),
        ("s i p 3.1 p *Figure_3.2._A_caption.*_And_text.", "written 3.1, 3.2, but directly behind a figure 3.1"),
    ],
)
def test_chapter_made_wrong_on_purpose_has_its_fault(words, fault):
    cells = notebook_of(words)
    found = faults_of_setup(cells) + faults_of_captions(3, cells)
    assert [each for each in found if each.startswith(fault)], found


def figures_named(text):
    """Return the numbers of the figures that a text names."""
    named = re.findall(
        r"\bfigures? (\d+\.\d+(?:(?:,| and| or| to|, and) \d+\.\d+)*)", " ".join(text.split()), re.IGNORECASE
    )
    return {number for numbers in named for number in re.findall(r"\d+\.\d+", numbers)}


def test_every_figure_that_is_named_exists():
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")}
    captions = {number for text in pages.values() for number in CAPTION.findall(text)}
    assert len(captions) > 15
    assert not {(stem, number) for stem, text in pages.items() for number in figures_named(text) - captions}


def test_figures_are_found_where_they_are_named():
    text = "See figure 1.2 or Figures\n3.4 and 5.6, figures 7.1 to 7.3; table 8.8, `figure, axes = plt.subplots(9.9)`."
    assert figures_named(text) == {"1.2", "3.4", "5.6", "7.1", "7.3"}


def table_of_models(path):
    """Return the lines of the table of models that write with codes; links to chapters as they are in a notebook."""
    tables = re.findall(r"(?:^\|.*\n)+", path.read_text(encoding="utf-8"), re.MULTILINE)
    (found,) = (table for table in tables if "[DALL-E]" in table)
    return found.replace("(../notebooks/", "(").splitlines()


def test_chapter_3_and_the_front_page_have_one_table_of_models():
    """The front page's is the source: notebooks can include nothing."""
    front = table_of_models(ROOT / "book" / "index.md")
    assert len(front) >= 8
    assert table_of_models(ROOT / "book" / "03-training.md") == front


# Numbers that only a run can know, as they look in prose.
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
RESULTS = {
    "an error or a loss": r"\b0\.0\d\d+",
    "bits": rf"{NUMBER} (?:(?:bits|nats) (?:an image|a code|per image|per code|less|more|fewer)|dB\b|decibels\b)",
    "a perplexity": rf"perplexit\w+ (?:of |is |was )?(?:about |nearly )?{NUMBER}",
    "a spread": rf"±\s*{NUMBER}",
    "a share": rf"{NUMBER}\s?(?:%|percent)",
    "codes in use": rf"{NUMBER} of (?:the )?{NUMBER} (?:codes|entries)|{NUMBER} codes (?:are |were )?(?:in use|used)",
}
# What looks like a result and is none, or is another's: the page, the words, and where the number comes from.
SOURCES_OF_NUMBERS = [
    ("03-training", "reconstruction loss of 0.0444", "the published log of the keras.io example, linked there"),
    ("03-training", "each batch alone has a perplexity of 1", "an exercise"),
    ("03-training", "both together have a perplexity of 2", "an exercise"),
    ("03-training", "A perplexity of 1 means", "the definition"),
    ("05-pixelcnn", "A prior reaches 1.2 nats per code", "an exercise"),
    ("06-codebooks", "With 12 codes in use", "an example"),
    ("06-codebooks", "test MSE of 0.00418", "the keras.io example, run as written, linked there"),
    ("06-codebooks", "68 of 128 codes", "the keras.io example, run as written, linked there"),
    ("06-codebooks", "a perplexity of 11.9", "the keras.io example, run as written, linked there"),
    ("06-codebooks", "49 bits per image", "arithmetic: 49 log2 2"),
    ("06-codebooks", "a PSNR of 33.37 dB and a perplexity of 47", "the published table, linked there"),
    ("06-codebooks", "35.61 dB", "the published table, linked there"),
    ("06-codebooks", "36.25 dB", "the published table, linked there"),
    ("06-codebooks", "One has a perplexity of 28", "an exercise"),
    ("06-codebooks", "about 22 bits less", "arithmetic: 49 log2 (38 / 28), which the exercise's cell prints"),
    ("09-two-levels", "Its top prior needs 0.3 bits an image", "an exercise"),
    ("keep-and-move", "below 0.00001; a grey level is 0.0039", "tests/test_export.py reads it from the page; 1/255"),
    ("keep-and-move", "below 0.00001, since all codes agree", "tests/test_export.py reads it from the page"),
    ("keep-and-move", "below 0.0001 nats", "tests/test_export.py reads it from the page"),
]


def prose(path):
    """Return a page's text on one line, without code, directives and displayed formulas."""
    text = re.sub(r"^(`{3,}).*?^\1$|\$\$.*?\$\$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return " ".join(text.split())


def typed_results(path):
    """Return what looks like a result in a page's prose, with its surroundings, unless its source is known."""
    text = prose(path)
    known = [words for stem, words, _ in SOURCES_OF_NUMBERS if stem == path.stem]
    spans = [found.span() for words in known for found in re.finditer(re.escape(words), text)]
    return [
        f"{kind}: ... {text[max(0, match.start() - 50) : match.end() + 30]} ..."
        for kind, expression in RESULTS.items()
        for match in re.finditer(expression, text)
        if not any(start < match.end() and match.start() < end for start, end in spans)
    ]


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"], ids=lambda path: path.stem
)
def test_results_in_prose_come_from_the_run(path):
    """Let a cell or a directive print the number; of a number from elsewhere, name the source in the list above."""
    assert not typed_results(path)


@pytest.mark.parametrize(
    "words",
    [
        "It reaches an MSE of 0.00383.",
        "That is 73.3 bits an image.",
        "Its perplexity is 38.",
        "The mean is 30 ± 2.",
        "A probe reads 96.1% right.",
        "Now 128 of 128 codes are in use.",
        "It costs 1.0364 nats a code,\nand 25.2 dB.",
    ],
)
def test_typed_results_are_found(tmp_path, words):
    path = tmp_path / "page.md"
    path.write_text(f"Text.\n\n```{{code-cell}}\nprint('96% right')\n```\n\n{words}\n")
    assert len(typed_results(path)) == 1 + words.count("dB")


def test_every_known_number_still_stands_there():
    pages = {path.stem: prose(path) for path in (ROOT / "book").glob("*.md")}
    assert not [words for stem, words, _ in SOURCES_OF_NUMBERS if stem in pages and words not in pages[stem]]
