"""Where the values of a cell were set: files of conf/, the matrix, words of the command line."""

from collections.abc import Iterable, Mapping
from typing import Any

from thunder.config import compose as configs
from thunder.config import origin, overrides, settable
from thunder.config.sources import Sources
from thunder.ground import digest
from thunder.ground.schema_faults import Fault
from thunder.jobs import axes
from thunder.jobs.axes import Coordinates
from thunder.jobs.matrix_file import Matrix


def of_words(words: overrides.Words, places: Sources) -> origin.Origins:
    """Return where the values were set of a job that no matrix has."""
    origins = origin.of_files(configs.origins_list(words.choices, places))
    _put_words(origins, words)
    return origins


def told(
    faults: Iterable[Fault], config: Mapping[str, Any], words: overrides.Words, places: Sources
) -> list[str]:
    """Return faults of the config that words make, each with the place that set the value."""
    origins = of_words(words, places)
    return [origin.told(f.path, f.message, origins, config, f.wants) for f in faults]


class Layers:
    """What sets the values of the cells of a matrix; the files of a choice are read once."""

    def __init__(self, matrix: Matrix, words: overrides.Words, places: Sources) -> None:
        self.matrix, self.words, self.places = matrix, words, places
        self.groups = {"profile", *places.groups}
        self.files: dict[tuple[tuple[str, str], ...], origin.Origins] = {}

    def of(self, point: Coordinates, choices: Mapping[str, str]) -> origin.Origins:
        """Return where the values of a cell were set, what wins last."""
        origins = dict(self._of_files(choices))
        for key in self.matrix.spec.get("set", {}):
            self._put(origins, key, ("set", key))
        _put_words(origins, self.words)
        for key in point:
            self._put(origins, key, self._axis_path(point, key))
        return origins

    def _of_files(self, choices: Mapping[str, str]) -> origin.Origins:
        key = tuple(choices.items())
        if key not in self.files:
            self.files[key] = origin.of_files(configs.origins_list(choices, self.places))
        return self.files[key]

    def _put(self, origins: origin.Origins, key: str, path: origin.Key) -> None:
        place = origin.find(self.matrix.origins, path)
        if place and key in self.groups:  # what it chose keeps the lines of its file
            origins[_path(key)] = place
        elif place:
            origin.put(origins, _path(key), place)

    def _axis_path(self, point: Coordinates, key: str) -> origin.Key:
        for index, extra in enumerate(self.matrix.spec.get("include", [])):
            if digest.is_same(extra, point):
                return ("include", index, key)
        return axes.place_of(self.matrix.spec["axes"], point, key)


def _put_words(origins: origin.Origins, words: overrides.Words) -> None:
    for key in words.choices:
        origins[_path(key)] = overrides.place_of(words.spelt[key])
    for key in words.values:
        origin.put(origins, _path(key), overrides.place_of(words.spelt[key]))


def _path(key: str) -> origin.Key:
    return tuple(settable.full_key(key).split("."))
