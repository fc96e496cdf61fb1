"""What to compute: a checked config and its id, and the jobs that come first."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thunder.config import origin, settable
from thunder.config.plain import MISSING, missing_values, read_yaml
from thunder.config.sources import Sources
from thunder.ground import digest, schema, schema_faults, steps, wording
from thunder.ground.errors import Faults
from thunder.ground.sections import Sections
from thunder.jobs import inputs, rules
from thunder.jobs.kinds import KINDS

IDENTITY = 1  # version of the id's preimage; raising it renames every run
ID_DIGITS = 12
_MISSING = MISSING.encode()


@dataclass(frozen=True)
class Job:
    """A checked config, the id that its content gives it, and the jobs that come first."""

    id: str
    config: dict[str, Any]
    needs: tuple["Job", ...] = ()

    @property
    def kind(self) -> str:
        """The kind: which function computes it."""
        return str(self.config["kind"])

    @property
    def runtime(self) -> dict[str, Any]:
        """How and where to run; outside the id."""
        return dict(self.config["runtime"])

    @property
    def total(self) -> int | None:
        """Steps of the whole job; None for a kind that has no steps."""
        return steps.total(self.config)

    @property
    def goal(self) -> int | None:
        """Absolute step that is asked for now; None for a kind that has no steps."""
        return steps.goal(self.config)

    @property
    def is_stand_in(self) -> bool:
        """Whether model or data are stand-ins."""
        return bool(inputs.stand_ins(self.config))

    @property
    def document(self) -> dict[str, Any]:
        """The preimage of the id, as it lies in config.json."""
        return document(self.config)


# By object: a value, kept so that no other takes its place; its canonical JSON; is `???` in it?
Memo = dict[int, tuple[Any, bytes, bool]]
Origins = inputs.Origins


def document(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the id is made of: the config without `runtime`, and two versions."""
    rest = {key: value for key, value in config.items() if key != "runtime"}
    return {"identity": IDENTITY, "revision": KINDS[config["kind"]].revision, **rest}


def id_of(preimage: Mapping[str, Any], memo: Memo | None = None) -> str:
    """Return the id of a document: 12 hex digits of the sha256 of its canonical JSON.

    Args:
        memo: canonical values of earlier documents, by object; cells of a matrix share most.
    """
    memo = {} if memo is None else memo
    # RFC 8785 is compositional: the whole is its sorted keys with the canonical JSON of each value.
    parts = [
        b'"%s":%s' % (key.encode(), _known(preimage[key], memo)[1]) for key in sorted(preimage)
    ]
    return digest.of_bytes(b"{" + b",".join(parts) + b"}")[:ID_DIGITS]


def _known(value: Any, memo: Memo) -> tuple[Any, bytes, bool]:
    known = memo.get(id(value))
    if known is None:
        canonical = digest.canonical(value)
        known = memo[id(value)] = (value, canonical, _MISSING in canonical)
    return known


def _needs_a_look(config: Mapping[str, Any], memo: Memo) -> bool:
    # A search in canonical bytes that are needed anyway: walking every config would cost more.
    try:
        return any([_known(section, memo)[2] for section in config.values()])
    except ValueError:  # a number or text that JSON cannot carry
        return True


def make(
    config: dict[str, Any],
    memo: Memo | None = None,
    reproduce: str | None = None,
    known: inputs.Known | None = None,
    origins: Origins | None = None,
) -> Job:
    """Make the job of a checked config: bind its inputs to content and name it.

    Args:
        reproduce: the command that makes this one job again.
        known: inputs that were bound before.
        origins: where the values were set.
    """
    needs = tuple(make(needed, memo, reproduce, known, origins) for needed in _needed(config))
    settled = dict(KINDS[config["kind"]].settled(config))
    bound = inputs.bind(_at_home(settled), known, origins, reproduce)
    bound["runtime"] = {**bound["runtime"], "reproduce": reproduce}
    if needs:
        bound["needs"] = {job.kind: job.id for job in needs}
    return Job(id_of(document(bound), memo), bound, needs)


def _needed(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the configs of the jobs that a job needs done before it; nothing is drawn in them."""
    for kind, sections in KINDS[config["kind"]].needs.items():
        shared = {name: config[name] for name in sections}
        yield {"kind": kind, "seed": 0, **shared, "runtime": {**config["runtime"], "profile": None}}


def _at_home(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config whose outputs are no `~`: a shell leaves it in `outputs=~/runs`."""
    runtime = config["runtime"]
    if not runtime["outputs"].startswith("~"):
        return config
    return {**config, "runtime": {**runtime, "outputs": os.path.expanduser(runtime["outputs"])}}


def faults_of(
    config: dict[str, Any],
    places: Sources,
    origins: Origins,
    memo: Memo | None = None,
    sections: Sections | None = None,
) -> list[str]:
    """Return every fault of a config, each with the place that set the value; empty when right.

    Args:
        sections: those of earlier configs; cells of a matrix share most.
    """
    memo = {} if memo is None else memo
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return [origin.told(path, text, origins()) for path, text in _kind_faults(config, places)]
    sections = Sections(places.schemas) if sections is None else sections
    broken = sections.faults(kind, config)
    faults = {fault.path: fault.message for fault in broken}
    wants = {fault.path: fault.wants for fault in broken}
    if faults:
        allowed = sorted(_sections(kind, places))
        unknown = [key for key in config if (key,) in faults and key not in allowed]
        words = settable.SHORTHAND
        faults |= {(key,): wording.unknown_key(key, allowed, words) for key in unknown}
    if _needs_a_look(config, memo):
        unfit = {fault.path: fault.message for fault in schema_faults.unwritable(config)}
        faults |= unfit
        # A schema cannot say so of a key that does not go with the others: a commit over a recipe.
        wants |= {path: "text" for path in unfit if not wants.get(path)}
        absent = [tuple(key.split(".")) for key in missing_values(config)]
        faults |= {path: f"needs a value: add {'.'.join(path)}=VALUE" for path in absent}
    if not faults:
        faults = dict(rules.faults(config, steps.total(config)))
    return [
        origin.told(path, message, origins(), config, wants.get(path, ""))
        for path, message in faults.items()
    ]


def check(config: dict[str, Any], places: Sources, origins: Origins, title: str) -> None:
    """Raise Faults when a config cannot become a job."""
    if faults := faults_of(config, places, origins):
        raise Faults(f"{title}:", faults)


def _kind_faults(
    config: Mapping[str, Any], places: Sources
) -> Iterator[tuple[tuple[str, ...], str]]:
    if "kind" in config:
        kind = config["kind"]
        hint = wording.nearest(str(kind), list(KINDS))
        yield ("kind",), f"{kind!r} is not a kind{hint}; kinds: {', '.join(KINDS)}"
        return
    runtime = config.get("runtime")
    chosen = runtime.get("profile") if isinstance(runtime, dict) else None
    if chosen:
        path = places.find(f"profile/{chosen}")
        read_yaml(path)
        header = "# @package _global_"
        yield ("kind",), f"{origin.shown(path)} sets none; its first line must be {header!r}"
        return
    words = ["matrix", *places.groups, *settable.SHORTHAND]
    known = {key for kind in KINDS for key in _sections(kind, places)}
    for key in (key for key in config if key not in known):
        if hint := wording.nearest(key, words):
            yield (key,), f"not a key here{hint}"
    profiles = ", ".join(places.groups.get("profile", []))
    yield (), f"no profile is chosen: add +profile=NAME; conf/profile/ has {profiles}"


def _sections(kind: str, places: Sources) -> dict[str, Any]:
    """Return the keys that a config of a kind may have at its top."""
    return dict(schema.load(kind, places.schemas).get("properties", {}))
