"""Latin text as N'Ko, so that the two scripts are scored in one alphabet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.lanes.asr.results.bundle import measures
from thunder.lanes.asr.results.bundle.evidence import References
from thunder.language.bridge import V1_COMPAT, V2_STANDARD


@dataclass(frozen=True)
class Bridge:
    """A version of the bridge, and the error that it brings by itself."""

    version: str
    error: float  # micro CER of the Latin references as N'Ko against the N'Ko references
    word_error: float  # micro WER of the same
    rows: int


def choose(
    configs: Sequence[Mapping[str, Any]], references: Mapping[str, References]
) -> Bridge | None:
    """Return the bridge that made the N'Ko text, else the one that meets it best.

    The choice looks at references alone, so that no hypothesis can sway it. None: one of the two
    scripts has no run.
    """
    if not {"nko", "latin"} <= set(references):
        return None
    used = sorted({str(config["text"]["bridge"]) for config in configs} - {"none"})
    if len(used) > 1:
        raise ThunderError(
            f"runs used different bridges ({', '.join(used)}); they cannot be compared",
            "verification",
        )
    # Of two that meet it equally well the first is taken: the standard one.
    candidates = [_measured(version, references) for version in used or (V2_STANDARD, V1_COMPAT)]
    return min(candidates, key=lambda bridge: bridge.error)


def _measured(version: str, references: Mapping[str, References]) -> Bridge:
    latin, nko = references["latin"], references["nko"]
    both = [name for name in latin.ids if name in nko.place]
    texts = [latin.texts[latin.place[name]] for name in both]
    wanted = [nko.texts[nko.place[name]] for name in both]
    rates = measures.summary(measures.bridged(wanted, texts, version, measures.MAIN))
    if not both:
        raise ThunderError("the runs of the two scripts have no test row in common", "verification")
    return Bridge(version, rates["cer_micro"], rates["wer_micro"], len(both))
