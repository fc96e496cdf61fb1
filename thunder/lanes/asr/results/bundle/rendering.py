"""The files of a bundle: written from its document, and compared with it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.lanes.asr.results.bundle import csvs, figures, latex, markdown, seal

_OURS = re.compile(r"T\d+_\w+\.(csv|tex)|plots/\w+\.(png|svg)")


def write(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write everything that follows from a document; the same document gives the same tables.

    A table or plot of an earlier form of the matrix, which the document lacks, is removed.
    """
    from thunder.lanes.asr.results.bundle import (
        plots,  # matplotlib, which nothing but drawing needs
    )

    texts, drawings = texts_of(document), _drawings(document)
    contents = {folder / name: text.encode() for name, text in texts.items()}
    for name, figure in drawings.items():
        contents[folder / name] = plots.render(figure, Path(name).suffix[1:])
    files.write_all(contents)
    for name in _others(document, folder):
        if _OURS.fullmatch(name.removeprefix(f"{document['name']}/")):
            (folder / name).unlink()
    return [folder / name for name in (*texts, *drawings)]


def stale(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the files that are missing, do not follow from the document, or are not of it.

    A plot is compared by the digest of what it shows and by its seal, not by its bytes, which
    another version of matplotlib would draw differently.
    """
    old = [
        name for name, text in texts_of(document).items()
        if _read(folder / name) != text.encode("utf-8")
    ]  # fmt: skip
    for name, figure in _drawings(document).items():
        data = _read(folder / name)
        if data is None or seal.shown(data) != figures.digest_of(figure):
            old.append(name)
    return [folder / name for name in [*old, *_others(document, folder)]]


def texts_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of text by its place in the folder of tables."""
    name = document["name"]
    texts = {f"{name}.json": files.render_json(document), f"{name}.md": markdown.render(document)}
    for table in document["tables"]:
        texts[f"{name}/{table['name']}.csv"] = csvs.render(document, table)
        texts[f"{name}/{table['name']}.tex"] = latex.render(document, table)
    return texts


def _drawings(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    name = document["name"]
    return {
        f"{name}/plots/{figure['name']}.{kind}": figure
        for figure in document["figures"]
        for kind in figures.KINDS
    }


def _others(document: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the files that lie among those of a bundle and are not of it."""
    name = document["name"]
    expected = {*texts_of(document), *_drawings(document)}
    beside = [path for path in folder.glob(f"{name}.*") if path.is_file()]
    inside = [path for path in (folder / name).rglob("*") if path.is_file()]
    places = (path.relative_to(folder).as_posix() for path in (*beside, *inside))
    return sorted(place for place in places if place not in expected)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
