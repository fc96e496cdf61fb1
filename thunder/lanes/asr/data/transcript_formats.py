"""The formats that lists of transcripts have: told by name, each read into names and texts."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from thunder.ground import json_lines
from thunder.ground.errors import ThunderError
from thunder.ground.wording import nearest, not_utf8

Entries = list[tuple[str, str]]
Lines = Mapping[int, str]  # by number, without empty ones
Found = dict[int, str]  # what is wrong with a line, by its number

PATH_NAMES = ("path", "file", "name", "audio", "file_name")
TEXT_NAMES = ("text", "sentence", "transcript", "transcription")
# What each is, and by which names of files it is told; `colon` is every other file.
FORMATS = {
    "colon": "`name: text`, `;` before a remark",
    "tsv": "*.tsv: columns with tabs, as of Common Voice",
    "csv": "*.csv: columns with commas under their names, as metadata.csv of Hugging Face",
    "ljspeech": "metadata.csv: `name|text|normalised text`",
    "kaldi": "text: `name text`",
    "trn": "*.trn: `text (name)`, of NIST",
    "jsonl": "*.jsonl, *.json: objects with a path and a text, one a line",
}
_MANY = 3  # times as many broken lines as others: the file is of another format
_OF_JSON = re.compile(rb"\s*(\[\s*)?\{")  # what begins so is no list of names, however it is called
_TRN = re.compile(r"(.*)\(([^()\s]+)\)\s*", re.DOTALL)


def entries(path: Path, data: bytes, format: str | None) -> Entries:
    """Return the names and texts of a file.

    Args:
        format: one of FORMATS; told by the name of the file if null.

    Raises:
        Faults: every line that is not of the format, by its number.
    """
    if format is not None and format not in FORMATS:
        hint = nearest(format, list(FORMATS))
        raise ThunderError(f"--format {format}: not a format{hint}; there is {', '.join(FORMATS)}")
    chosen = format or _told(path, data)
    if chosen == "jsonl":
        listed, faults = _of_objects(data)
    else:
        lines, faults = _lines(data)
        listed = _READERS[chosen](lines, faults)
    if format is None and chosen == "colon" and len(faults) > _MANY * len(listed):
        raise ThunderError(_unlike(path, chosen, faults, len(listed) + len(faults)), "data")
    others = "" if format else f"; --format may say another: {', '.join(FORMATS)}"
    title = f"{path}: broken lines of {chosen} ({FORMATS[chosen]}{others}): {len(faults)}"
    json_lines.refuse(title, json_lines.placed(path.name, faults))
    if not listed:
        raise ThunderError(f"{path}: no transcripts, read as {chosen} ({FORMATS[chosen]})", "data")
    return listed


def _told(path: Path, data: bytes) -> str:
    """Return the format that a file's name says; of the two of metadata.csv, its first line."""
    name = path.name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    if name == "text":
        return "kaldi"
    if suffix == "csv" and stem:
        first = data.splitlines()[0].decode("utf-8-sig", "replace") if data else ""
        heads = [cell.strip().lower() for cell in first.split(",")]
        return "ljspeech" if "|" in first and _column(heads, PATH_NAMES) is None else "csv"
    if suffix == "json" or _OF_JSON.match(data.removeprefix(json_lines.MARK)):
        return "jsonl"
    return suffix if dot and suffix in ("tsv", "trn", "jsonl") else "colon"


def _unlike(path: Path, chosen: str, faults: Found, count: int) -> str:
    number = min(faults)
    known = "; ".join(f"{name} ({what})" for name, what in FORMATS.items())
    return (
        f"{path}: {len(faults)} of {count} lines are not as {chosen}, "
        f"{FORMATS[chosen]}; line {number}: {faults[number]}. "
        f"Say what it is by --format: {known}"
    )


def _lines(data: bytes) -> tuple[dict[int, str], Found]:
    """Return the lines that are UTF-8 and not empty, and a fault for each that is not."""
    lines: dict[int, str] = {}
    faults: Found = {}
    for number, line in enumerate(data.removeprefix(json_lines.MARK).splitlines(), 1):
        try:
            if (decoded := line.decode("utf-8")).strip():
                lines[number] = decoded
        except UnicodeDecodeError as error:
            faults[number] = not_utf8(error)
    return lines, faults


def _of_colons(lines: Lines, faults: Found) -> Entries:
    listed = []
    for number, line in lines.items():
        name, colon, transcript = (part.strip() for part in line.partition(":"))
        if line.lstrip().startswith(";"):
            continue
        if colon and name:
            listed.append((name, transcript))
        else:
            faults[number] = f"no `name: text`: {line[:60]!r}"
    return listed


def _of_kaldi(lines: Lines, faults: Found) -> Entries:
    parts = (line.split(maxsplit=1) for line in lines.values())
    return [(name, "".join(transcript).strip()) for name, *transcript in parts]


def _of_trn(lines: Lines, faults: Found) -> Entries:
    listed = []
    for number, line in lines.items():
        if line.lstrip().startswith(";;"):
            continue
        if match := _TRN.fullmatch(line):
            listed.append((match[2], match[1].strip()))
        else:
            faults[number] = f"no `text (name)`: {line[:60]!r}"
    return listed


def _of_ljspeech(lines: Lines, faults: Found) -> Entries:
    """Read `name|text` and `name|text|normalised`, where numbers are words: that one counts."""
    listed = []
    for number, line in lines.items():
        name, *texts = (cell.strip() for cell in line.split("|"))
        if name and len(texts) in (1, 2):
            listed.append((name, texts[-1] or texts[0]))
        else:
            faults[number] = f"{len(texts) + 1} columns; needed: `name|text` or `name|text|text`"
    return listed


def _of_tabs(lines: Lines, faults: Found) -> Entries:
    return _of_rows({number: line.split("\t") for number, line in lines.items()}, faults, "a tab")


def _of_commas(lines: Lines, faults: Found) -> Entries:
    if faults:  # a cell may go over several lines, so none can be left out
        return []
    whole = "".join(f"{lines.get(i, '')}\n" for i in range(1, max(lines, default=0) + 1))
    rows: dict[int, list[str]] = {}
    reader = csv.reader(io.StringIO(whole, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                rows[reader.line_num] = cells
    except csv.Error as error:
        faults[reader.line_num] = str(error)
    return _of_rows(rows, faults, "a comma")


def _of_rows(rows: Mapping[int, list[str]], faults: Found, between: str) -> Entries:
    first = next(iter(rows.values()), [])
    heads = [cell.strip().lower() for cell in first]
    path_at, text_at = (_column(heads, names) for names in (PATH_NAMES, TEXT_NAMES))
    if path_at is None or text_at is None:  # no line of heads: two columns, and nothing else
        path_at, text_at, heads, skipped = 0, 1, ["path", "text"], 0
    else:
        skipped = 1
    listed = []
    for number, cells in list(rows.items())[skipped:]:
        if len(cells) == len(heads) and cells[path_at].strip():
            listed.append((cells[path_at].strip(), cells[text_at].strip()))
        else:
            needed = f"{', '.join(heads)}, with {between} between"
            faults[number] = f"{len(cells)} columns; needed: {needed}"
    return listed


def _column(heads: list[str], names: tuple[str, ...]) -> int | None:
    return next((heads.index(name) for name in names if name in heads), None)


def _of_objects(data: bytes) -> tuple[Entries, Found]:
    rows, faults = json_lines.rows(data)
    listed = []
    for number, row in rows.items():
        path = next(_strings(row, PATH_NAMES), None)
        transcript = next(_strings(row, TEXT_NAMES), None)
        if path and transcript is not None:
            listed.append((path, transcript))
        else:
            wanted = " and ".join("/".join(names) for names in (PATH_NAMES, TEXT_NAMES))
            faults[number] = f"needed are {wanted}, as text; it has {', '.join(row) or 'nothing'}"
    return listed, faults


def _strings(row: Mapping[str, object], names: tuple[str, ...]) -> Iterator[str]:
    return (value for name in names if isinstance(value := row.get(name), str))


_READERS: dict[str, Callable[[Lines, Found], Entries]] = {
    "colon": _of_colons, "tsv": _of_tabs, "csv": _of_commas, "ljspeech": _of_ljspeech,
    "kaldi": _of_kaldi, "trn": _of_trn,
}  # fmt: skip
