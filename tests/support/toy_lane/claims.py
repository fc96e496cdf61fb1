"""What must not be read into counting."""

from thunder.results.promotion.candidates import Candidate
from thunder.results.promotion.support import Support


def _limits(_: Candidate) -> list[str]:
    return ["that anything was learnt: it was counted"]


SUPPORT = Support(limits=_limits)
