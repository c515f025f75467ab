"""Files that the grader reads and writes: whole or not at all, and CSV that a spreadsheet takes for text."""

import csv
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from vqlib._files import write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet would compute


class GradingError(Exception):
    """The grader, not a student, has to mend something."""


def write(path: pathlib.Path, text: str) -> None:
    """Write a file whole or not at all, and not at all if it says that already."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return
    write_atomically(path, data)


def write_table(path: pathlib.Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file; one more ' stands in front of text that a spreadsheet would take for a formula without it."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"'{row[column]}" if _is_formula(row[column]) else row[column] for column in columns])
    write(path, stream.getvalue())


def read_table(path: pathlib.Path, *columns: str) -> list[dict[str, str]]:
    """Return these columns of a CSV file, a dict of texts for each row; spreadsheets leave rows without text behind."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GradingError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise GradingError(f"{path} is not UTF-8. Save it as “CSV UTF-8”.") from error
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    missing = set(columns) - set(reader.fieldnames or ())
    if missing:
        raise GradingError(f"{path} needs the columns {', '.join(columns)}; there is no {', '.join(sorted(missing))}.")
    rows = [{column: _plain((row[column] or "").strip()) for column in columns} for row in reader]
    return [row for row in rows if any(row.values())]


def _is_formula(value: object) -> bool:
    """Return whether a value begins as a formula does, behind any number of '."""
    return str(value).lstrip("'").startswith(FORMULA)


def _plain(value: str) -> str:
    """Return what stands in a cell without the ' that kept it from being a formula."""
    return value[1:] if value.startswith("'") and _is_formula(value) else value
