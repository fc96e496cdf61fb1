"""What ASR runs support, and what must not be read into them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground import files
from thunder.jobs.matrix import Cell
from thunder.jobs.matrix_file import Matrix
from thunder.lanes.asr.artifacts import RESULTS, predictions, references
from thunder.lanes.asr.model.definitions import words
from thunder.results.promotion.candidates import Candidate
from thunder.results.promotion.comparison import Comparisons, Measure
from thunder.results.promotion.support import Interval, Numbers, Support

CER = Measure("CER", "utterances", least="bridge_cer", brought_by="the bridge alone")
WER = Measure("WER", "utterances", least="bridge_wer", brought_by="the bridge alone")
MEASURES = {"": CER, "wer_": WER}  # by what their columns begin with in a table
_WER = "test_wer"
_MICRO = ("test_cer", "test_cer_micro")  # by these names a run has what cer_ci95 is of


def _results(run: Candidate) -> dict[str, Any]:
    return dict(files.read_json(run.run.folder / RESULTS))


def _limits(run: Candidate) -> Iterator[str]:
    yield (
        "that a correction adapter lowers these error rates: what is scored is what the "
        "recogniser wrote, and nothing corrected it"
    )
    yield "a new acoustic model: a CTC head was trained on frames that stayed as they were"
    bridge = run.document["text"]["bridge"]
    if bridge != "none" and run.document["script"] == "nko":
        yield (
            f"anything about N'Ko as people spell it, or about tone: the N'Ko texts were made "
            f"from Latin by the bridge {bridge}"
        )
    if run.document["split"]["rule"] == "random":
        yield (
            "that unseen speakers or recordings are recognised as well: the split is by row, "
            f"so train may have others of the same ({RESULTS} has the rows of unseen text "
            "apart)"
        )


def _warnings(run: Candidate) -> Sequence[str]:
    return list(_results(run)["warnings"])


def _definitions(run: Candidate) -> Iterator[tuple[str, str]]:
    results = _results(run)
    suta = ["suta"] if results["adaptation"]["suta"] else []
    yield from ((word, results["definitions"][word]) for word in [*words(results["mode"]), *suta])


def _numbers(run: Candidate, numbers: Numbers) -> tuple[Numbers, Mapping[str, Interval]]:
    from thunder.scoring.score import MAIN  # numpy, which not all promotions need

    results = _results(run)
    name = next((name for name in _MICRO if name in numbers), _MICRO[0])
    of_words = _interval_of_words(run)
    known = {} if of_words is None else {name: results["cer_ci95"], _WER: of_words}
    rates = {name: results["test_cer"], _WER: results["test"][MAIN]["wer_micro"]}
    return {**numbers, **rates}, known


def _interval_of_words(run: Candidate) -> Interval | None:
    """Return the interval of the WER; None over so few units that it would be too narrow."""
    from thunder.scoring import dumps, intervals, score

    folder = run.run.folder
    dump = dumps.read(folder / predictions("test"), folder / references("test"))
    rows = score.counts(dump.references, dump.hypotheses, dump.form, score.MAIN)
    units = score.grouped(rows, dump.clusters)
    if len(units.edits) < intervals.FEWEST:
        return None
    samples = int(run.document["evaluate"]["bootstrap"])
    return intervals.bootstrap(score.of_words(units), samples)


def _comparisons(matrix: Matrix, cells: Sequence[Cell], outputs: Path) -> Comparisons:
    from thunder.lanes.asr.results.bundle import compared  # numpy, which a single run needs not

    return compared.of_matrix(matrix, cells, outputs, MEASURES)


SUPPORT = Support(
    limits=_limits,
    warnings=_warnings,
    definitions=_definitions,
    numbers=_numbers,
    comparisons=_comparisons,
)
