"""What a run of the adapter lane works with: its job, its folders, what was found out of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thunder.lanes.adapter.inputs import Inputs
from thunder.training import placement


@dataclass(frozen=True)
class Context:
    """One attempt at a run; the preflight fills in what it learns.

    Args:
        tokens: the folder that the tokenised rows go to.
        digests: of the content of model and data.
        counts: rows by split, and the model's bytes.
        hosts: this machine and those behind ssh, each with its ranks and what lies where.
        warnings: what does not stop the training, and should be known of its result.
    """

    config: Mapping[str, Any]
    folder: Path
    inputs: Inputs
    tokens: Path
    digests: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    hosts: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The name of this machine among the hosts of the site."""
        return placement.name_here(self.config["runtime"]["site"])
