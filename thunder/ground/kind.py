"""What a lane tells of its kinds of job; all that the rest of thunder knows of a lane."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Config = Mapping[str, Any]
# A fault between keys: the path of the key that is to be changed, and what is wrong.
Fault = tuple[tuple[str | int, ...], str]


def _nothing(_: Config) -> tuple[Any, ...]:
    return ()


def _as_it_is(config: Config) -> Config:
    return config


@dataclass(frozen=True)
class Room:
    """What a run takes of the machine that it lives on, in bytes.

    Args:
        memory: that is free before it begins; None where nobody can know before.
        disk: that is free where its folder is, likewise.
        unknown: why, of each that is None.
    """

    memory: int | None
    disk: int | None
    unknown: Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """A kind of job. Modules and functions are named by strings, so that no backend is loaded.

    Args:
        function: `module:function` that computes it, in a process of its own.
        revision: raised when the meaning of the lane's code changes; part of the id.
        needs: kinds whose run comes first, each with the sections that it shares with this one.
        artifacts: files that a complete run has, by the names its users know.
        report: Markdown that tells what happened in a run; `.json` beside it says it to programs.
        packages: what must be installed besides thunder itself.
        extra: the extra of thunder that installs the packages.
        backend: module that prints as JSON, run by itself, what this machine computes with.
        speed: module that prints as JSON how fast that is, `gigaflops`; it is given a cache folder.
        metrics: the numbers that its runs write, at their end or on the way, the foremost first.
        headline: the metric that a run of it is about.
        told_by: keys that tell its runs apart in a list, besides the profile.
        alike: inputs that all its runs must have read alike to be promoted together, unless an
            axis varies them.
        timed_by: sections that runs which take as long have in common, the closest likeness first;
            by the last of a kind with steps, one step takes as long.
        bounded_by: what ends a run of a kind without steps, in words.
        stands_for_any: whether it takes window and target though it has no steps, to try matrices.
        rules: faults between keys, which no schema can see.
        settled: a checked config as its id knows it: what is said in more words than before is
            said as before, and what readers alone see is put into `runtime`.
        room: `module:function` that says what a run takes of the machine that it lives on: (config
            with the site as it is there) to Room; None where nobody can know before.
        inspects: `module:function` that is given the configs whose needed runs are not made yet,
            and refuses what could only fail after them.
        stand_ins: inputs of a config that stand in for real ones, wherever they come from.
        reads: `module:function` of inputs of which fewer files count than a loader might open:
            all but hidden ones and prose (`prose.is_prose`). It returns the names of those
            that do, and so name the input; no other file of its folder is read.
        lacks: `module:function` of inputs of which a part could be taken for the whole; it returns
            what a folder lacks.
        there: module that checks, run by itself on a host, what a run's ranks need there; see
            `training.host_checks`.
        recipes: `module:function` of each recipe that builds an input in place; it returns the
            digest of the code and words behind it.
        imports: `module:function` of each action that makes a data folder of what a person has:
            (source, transcripts, target, options of conf/script/, other options as they were
            typed, what composes the config of words) to the lines that say what was made.
        tables: module that makes the tables of a matrix; see `results.tables`.
        page: module that makes the error page of a run; see `results.pages`.
        decodes: `module:function` that asks the model of a run again for what its files say:
            (config, run folder, recorded backend, emit) to {backend, faults, near,
            not_looked_at, said}.
        claims: `module:value` that says what runs support; see `results.promotion.support`.
    """

    function: str
    revision: int
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    artifacts: Sequence[str] = ()
    report: str | None = None
    packages: Sequence[str] = ()
    extra: str | None = None
    backend: str | None = None
    speed: str | None = None
    metrics: Sequence[str] = ()
    headline: str | None = None
    told_by: Sequence[str] = ()
    alike: Sequence[str] = ()
    timed_by: Sequence[Sequence[str]] = ()
    bounded_by: str | None = None
    stands_for_any: bool = False
    rules: Callable[[Config], Iterable[Fault]] = _nothing
    settled: Callable[[Config], Config] = _as_it_is
    room: str | None = None
    inspects: str | None = None
    stand_ins: Callable[[Config], Sequence[str]] = _nothing
    reads: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    there: str | None = None
    recipes: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    tables: str | None = None
    page: str | None = None
    decodes: str | None = None
    claims: str | None = None
