"""What must not be read into adapter runs."""

from collections.abc import Iterator

from thunder.results.promotion.candidates import Candidate
from thunder.results.promotion.support import Support


def _limits(_: Candidate) -> Iterator[str]:
    yield (
        "that the adapter lowers an error rate of speech recognition: it was judged by its "
        "loss on rows of its own corpus, and no recogniser took part"
    )


SUPPORT = Support(limits=_limits)
