"""The files of a bundle: the same every time, and stale as soon as they do not follow from it."""

import ast
import copy
from pathlib import Path
from typing import Any

import bundle_runs
import matplotlib
import pytest
from matplotlib.figure import Figure

from thunder.lanes.asr.results import bundle
from thunder.lanes.asr.results.bundle import figures, plots, rendering, seal

ROWS = 25
FILES = {
    "bundle.json", "bundle.md",
    *(f"bundle/T{name}.{kind}" for kind in ("csv", "tex") for name in (
        "1_matrix", "2_script_effect", "3_mode_effect", "4_partitions", "11_adaptation")),
    *(f"bundle/plots/{name}.{kind}" for kind in ("png", "svg") for name in (
        "cer", "learning_curves", "partitions")),
}  # fmt: skip


def document_of(outputs: Path, **words: Any) -> dict[str, Any]:
    """Return the document of a bundle whose last cell is optional and missing."""
    matrix = bundle_runs.matrix(optional=[{"script": "latin", "mode": "trajectory"}])
    cells = bundle_runs.cells(matrix)
    for cell in cells[:3]:
        bundle_runs.finish(outputs, cell, rows=ROWS, **words)
    return bundle.build(matrix, cells, outputs)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return document_of(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def drawn(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of every file, by name."""
    folder = tmp_path_factory.mktemp("tables")
    paths = bundle.write(document, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def folder(drawn: dict[str, bytes], tmp_path: Path) -> Path:
    """All files, for a test to break."""
    for name, data in drawn.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def test_a_terminal_shows_the_cells_and_comparisons_that_were_measured(
    document: dict[str, Any],
) -> None:
    lines = bundle.render_brief(document).splitlines()
    assert max(map(len, lines)) <= 160
    names = [table["name"].partition("_")[0] for table in document["tables"]]
    assert names == ["T1", "T2", "T3", "T4", "T11"]
    assert all(table["title"] in lines for table in document["tables"])
    for row in document["tables"][0]["rows"]:
        assert any(str(row["values"]["run"] or row["reason"]) in line for line in lines)
    assert not any(line.startswith(("|", "#")) for line in lines)


def figure(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(figure for figure in document["figures"] if figure["name"] == name)


def test_a_bundle_has_these_files(drawn: dict[str, bytes]) -> None:
    assert set(drawn) == FILES


def test_what_was_written_is_fresh(document: dict[str, Any], folder: Path) -> None:
    assert bundle.stale(document, folder) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_changed_byte_is_stale(document: dict[str, Any], folder: Path, name: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert bundle.stale(document, folder) == [path]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_stale(document: dict[str, Any], folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert bundle.stale(document, folder) == [folder / name]


@pytest.mark.parametrize(
    "name", ["bundle/T5_typed.csv", "bundle/plots/mine.png", "bundle/notes.txt", "bundle.csv"]
)
def test_an_extra_file_is_stale(document: dict[str, Any], folder: Path, name: str) -> None:
    (folder / name).write_text("typed by hand", encoding="utf-8")
    assert bundle.stale(document, folder) == [folder / name]


def test_tables_of_other_matrices_are_not_looked_at(document: dict[str, Any], folder: Path) -> None:
    for name in ("other.md", "other/T1_matrix.csv", "bundle_two.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("of another matrix", encoding="utf-8")
    assert bundle.stale(document, folder) == []


def test_writing_removes_tables_that_the_matrix_has_no_more(
    document: dict[str, Any], folder: Path
) -> None:
    less = {**document, "tables": document["tables"][:1]}
    (folder / "bundle" / "notes.txt").write_text("a user's own", encoding="utf-8")
    bundle.write(less, folder)
    names = {path.name for path in (folder / "bundle").iterdir()}
    assert names == {"T1_matrix.csv", "T1_matrix.tex", "plots", "notes.txt"}


def test_other_runs_make_every_file_of_numbers_stale(folder: Path, tmp_path: Path) -> None:
    other = document_of(tmp_path / "runs", error_rate=0.5)
    assert {path.relative_to(folder).as_posix() for path in bundle.stale(other, folder)} == FILES


@pytest.mark.slow
def test_the_same_document_gives_the_same_bytes(
    document: dict[str, Any], drawn: dict[str, bytes], tmp_path: Path
) -> None:
    paths = bundle.write(copy.deepcopy(document), tmp_path)
    again = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
    assert again == drawn


def test_a_plot_carries_the_digest_of_what_it_shows(
    document: dict[str, Any], drawn: dict[str, bytes]
) -> None:
    for figure in document["figures"]:
        for kind in figures.KINDS:
            data = drawn[f"bundle/plots/{figure['name']}.{kind}"]
            assert seal.shown(data) == figures.digest_of(figure)


def test_a_plot_by_another_version_of_matplotlib_is_not_stale(
    document: dict[str, Any], folder: Path
) -> None:
    with matplotlib.rc_context({"font.size": 14}):
        other = Figure()
        other.savefig(folder / "other.png")
        other.savefig(folder / "other.svg", metadata={"Date": None})
    shows = figures.digest_of(figure(document, "cer"))
    png = (folder / "other.png").read_bytes()
    svg = (folder / "other.svg").read_text(encoding="utf-8")
    words = seal.metadata(shows)["Description"]
    (folder / "bundle/plots/cer.png").write_bytes(seal.sealed_png(png, shows))
    (folder / "bundle/plots/cer.svg").write_bytes(seal.sealed_svg(f"{svg}<!-- {words} -->\n"))
    assert bundle.stale(document, folder) == []


def test_a_plot_of_other_numbers_is_stale(document: dict[str, Any], folder: Path) -> None:
    other = copy.deepcopy(figure(document, "cer"))
    other["series"][0]["cer"] += 0.01
    path = folder / "bundle/plots/cer.png"
    path.write_bytes(plots.render(other, "png"))
    assert bundle.stale(document, folder) == [path]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\xff", b"<svg/>"])
def test_what_is_no_plot_of_ours_shows_nothing(data: bytes) -> None:
    assert seal.shown(data) is None


def test_a_sealed_png_is_a_png(drawn: dict[str, bytes], tmp_path: Path) -> None:
    from matplotlib import image

    path = tmp_path / "cer.png"
    path.write_bytes(drawn["bundle/plots/cer.png"])
    height, width, _ = image.imread(path).shape
    assert width > height > 100


def test_stand_ins_and_missing_cells_are_marked_in_plots(drawn: dict[str, bytes]) -> None:
    for name in ("cer", "learning_curves", "partitions"):
        text = drawn[f"bundle/plots/{name}.svg"].decode("utf-8")  # texts are comments beside paths
        assert "† stand-in: shows the machinery, no result" in text
        assert "optional, not run" in text
        assert "nko · baseline †" in text


def test_drawing_leaves_nothing_behind(document: dict[str, Any]) -> None:
    before = dict(matplotlib.rcParams)
    plots.render(figure(document, "partitions"), "svg")
    assert dict(matplotlib.rcParams) == before


def test_pyplot_and_its_global_figures_are_not_used() -> None:
    for path in Path(rendering.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {n.name for x in ast.walk(tree) if isinstance(x, ast.Import) for n in x.names}
        assert not any("pyplot" in name for name in names), path.name


def test_one_epoch_and_no_validation_cer_can_be_drawn(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(figure(document, "learning_curves"))
    for one in changed["series"]:
        one["points"] = [{**point, "valid_cer": None} for point in one["points"][:1]]
    assert seal.shown(plots.render(changed, "png")) == figures.digest_of(changed)
