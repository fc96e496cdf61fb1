"""What a task was asked about: cells of a matrix, a profile or a kept plan; runs; folders."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thunder.config import settable, sources
from thunder.ground import digest, names
from thunder.ground.errors import ThunderError
from thunder.ground.places import check_outputs
from thunder.runs import store
from thunder.runs.run import Run

NAMED = "a matrix, a profile or a kept plan:"
NOT_WHOLE = "with these words the cells are not those of the matrix as it is written"


def request(name: str, words: Sequence[str], folder: Path, config_dir: str) -> Any:
    """Return the cells that a matrix, a profile, a kept plan or overrides stand for."""
    from thunder.commands import requests
    from thunder.jobs import matrix_file

    if name:
        names.check(name, NAMED)
    places = sources.sources(places_dir(config_dir))
    path = matrix_file.path_of(name, places) if name in places.groups.get("profile", []) else None
    if path is not None:
        raise ThunderError(f"{name!r} is a profile and a matrix, {path}; rename one of them")
    return requests.named(name, words, outputs=folder, config_dir=places_dir(config_dir))


def part(name: str, words: Sequence[str], folder: Path, config_dir: str) -> tuple[Any, bool]:
    """Return a request whose cells are those that words for axes leave, and whether any did."""
    from thunder.config import overrides

    if name:
        names.check(name, NAMED)
    places = sources.sources(places_dir(config_dir))
    parsed = overrides.parse(words, places)
    given = {**parsed.sweeps, **_alone(parsed.values), **_alone(parsed.choices)}
    axes = _axes(name, folder, places)
    wanted = {settable.full_key(k): v for k, v in given.items() if settable.full_key(k) in axes}
    of_axes = {parsed.spelt[key] for key in wanted}
    whole = request(name, [w for w in words if w not in of_axes], folder, config_dir)
    if not wanted:
        return whole, False
    cells = [cell for cell in whole.cells if _is_in(cell.coordinates, wanted)]
    if not cells:
        raise ThunderError(f"{name!r} has no cell with {' '.join(sorted(of_axes))}")
    return replace(whole, cells=cells), True


def _alone(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [value] for key, value in values.items()}


def _axes(name: str, folder: Path, places: sources.Sources) -> set[str]:
    """Return the full keys that the cells of a matrix or a kept sweep differ in."""
    from thunder.jobs import axes, matrix_file
    from thunder.runner import plans

    if not name or name in places.groups.get("profile", []):
        return set()
    kept = None if matrix_file.path_of(name, places) else plans.read(folder, name)
    spec = kept["matrix"] if kept else None
    if matrix_file.path_of(name, places):
        spec = matrix_file.load(name, places).spec
    points = [axes.columns(spec["axes"]), *spec.get("include", [])] if spec else []
    return {settable.full_key(key) for point in points for key in point}


def _is_in(coordinates: dict[str, Any], wanted: dict[str, list[Any]]) -> bool:

    point = {settable.full_key(key): value for key, value in coordinates.items()}
    return all(
        key in point and any(digest.is_same(point[key], value) for value in values)
        for key, values in wanted.items()
    )


def is_another(request: Any) -> bool:
    """Say whether words make other cells than those of the matrix as it is written or kept."""

    given = {*request.words.choices, *request.words.values} - {*settable.OF_ALL}
    return request.matrix is not None and not request.words.sweeps and bool(given)


def places_dir(config_dir: str) -> Path | None:
    """Return the folder of --config-dir, None when it was not given."""
    return Path(config_dir) if config_dir else None


def outputs_dir(outputs: str | None, config_dir: str = "") -> Path:
    """Return the folder of --outputs; when it was not given, where this machine's runs land."""
    if outputs == "":
        raise ThunderError("--outputs: a folder is needed after it")
    folder = outputs or sources.sources(places_dir(config_dir)).outputs()
    path = Path(os.path.expanduser(folder))
    check_outputs(path)
    return path


def is_run(word: str) -> bool:
    """Say whether a word is an id, or the beginning of one, and no name."""
    return re.fullmatch(r"[0-9a-f]{4,12}(\.\d+)?", word) is not None


def runs_of(word: str, outputs: Path, config_dir: str) -> list[Run]:
    """Return the runs that an id, a matrix, or nothing stands for."""
    if not word:
        return store.all_runs(outputs)
    if is_run(word):
        return [store.by_prefix(outputs, word)]
    cells = request(word, [], outputs, config_dir).cells
    runs = {store.find(outputs, cell.job.kind, cell.job.id).folder for cell in cells}
    return [Run(folder) for folder in sorted(runs) if Run(folder).exists()]
