"""The promises about the house itself: who may import whom, and that the documents are true."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thunder.ground import folders, input_files, run_files
from thunder.ground.kind import Kind
from thunder.jobs.kinds import KINDS
from thunder.jobs.kinds import LANES as LANE_NAMES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "thunder"
# From the ground up, as in docs/contracts.md. A room imports from itself and from rooms before it.
ROOMS = (
    "ground", "config", "jobs", "runs", "hosts", "executors", "runner", "screen",
    "language", "scoring", "corpora", "training", "backends", "lanes", "results", "commands",
)  # fmt: skip
BACKENDS = ("mlx", "mlx_lm", "numpy", "datasets", "transformers", "torch")
HEAVY = (*BACKENDS, "hydra", "omegaconf")
# What runs in a child process: no thought of configs, runs or matrices.
LANE_MAY_IMPORT = ("ground", "language", "scoring", "corpora", "training", "backends")
# What reads the runs of a lane afterwards: no backend.
LANE_RESULTS_MAY_IMPORT = ("ground", "language", "scoring", "jobs", "runs", "results")


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__") or "__init__", path


MODULES = dict(_modules())


@functools.cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_source(path))


@functools.cache
def _imports(path: Path, *, also_inside: bool = True) -> frozenset[str]:
    """The full names that a module imports; those under TYPE_CHECKING are types alone."""
    tree = _tree(path)
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = ast.walk(tree) if also_inside else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@functools.cache
def _inner(path: Path, *, also_inside: bool) -> frozenset[str]:
    """The modules of thunder that a module imports."""
    found = set()
    for name in _imports(path, also_inside=also_inside):
        if not name.startswith("thunder."):
            continue
        parts = name.split(".")[1:]
        known = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        found.add(next((module for module in known if module in MODULES), "__init__"))
    return frozenset(found)


def _closure(module: str) -> set[str]:
    """A module and all that it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += _inner(MODULES[one], also_inside=True)
    return found


def _room(module: str) -> str:
    return module.partition(".")[0]


def _lane(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _reads_runs(module: str) -> bool:
    return module.split(".")[2:3] == ["results"]


OURS = [module for module in MODULES if _room(module) in ROOMS and _room(module) != "lanes"]
LANES = [module for module in MODULES if _room(module) == "lanes" and module != "lanes"]


def test_the_rooms_are_the_folders() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == {*ROOMS}
    assert {module for module in MODULES if "." not in module} - folders == {"__init__", "__main__"}


@pytest.mark.parametrize("module", OURS)
def test_imports_go_one_way(module: str) -> None:
    room = _room(module)
    for other in _inner(MODULES[module], also_inside=True) - {module, "__init__"}:
        assert _room(other) != "lanes", f"{module} → {other}"
        assert ROOMS.index(_room(other)) <= ROOMS.index(room), f"{module} → {other}"


@pytest.mark.parametrize("also_inside", [False, True], ids=["top level", "inside functions too"])
def test_no_module_is_in_a_cycle(also_inside: bool) -> None:
    graph = {m: _inner(path, also_inside=also_inside) - {m} for m, path in MODULES.items()}
    while leaves := {module for module, others in graph.items() if not others}:
        graph = {m: others - leaves for m, others in graph.items() if m not in leaves}
    assert graph == {}


@pytest.mark.parametrize("module", [m for m in LANES if not _reads_runs(m)])
def test_what_runs_in_a_child_knows_nothing_of_runs(module: str) -> None:
    for other in _inner(MODULES[module], also_inside=True) - {"__init__"}:
        is_own = _lane(other) == _lane(module) and not _reads_runs(other)
        assert is_own or _room(other) in LANE_MAY_IMPORT, f"{module} → {other}"


@pytest.mark.parametrize("module", [m for m in LANES if _reads_runs(m)])
def test_what_reads_the_runs_of_a_lane_loads_no_backend(module: str) -> None:
    for other in _inner(MODULES[module], also_inside=True) - {"__init__"}:
        is_own = _lane(other) == _lane(module)
        assert is_own or _room(other) in LANE_RESULTS_MAY_IMPORT, f"{module} → {other}"
    behind = {name for other in _closure(module) for name in _imports(MODULES[other])}
    assert not {"mlx", "mlx_lm", "torch"} & {name.partition(".")[0] for name in behind}


@functools.cache
def _words_of(module: str) -> frozenset[str]:
    """Everything that a module names: its strings, but for docstrings, and its identifiers."""
    tree = _tree(MODULES[module])
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            found.add(node.arg)
    documents = [
        n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef)
    ]
    return frozenset(found - {ast.get_docstring(node, clean=False) for node in documents})


def _files_of(module: str) -> Iterator[str]:
    """The names of files among the constants of a module: RESULTS = "results.json"."""
    for node in _tree(MODULES[module]).body:
        if isinstance(node, ast.Assign):
            strings = (n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant))
            yield from (s for s in strings if isinstance(s, str) and re.fullmatch(r"\w+\.\w+", s))


def _kinds_told_apart(tree: ast.AST) -> Iterator[str]:
    """What compares a kind with a string: `job.kind == "…"`, `row["kind"] in (…)`, `match kind`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *(case.pattern for case in node.cases)]
        else:
            continue
        constants = [n for side in sides for n in ast.walk(side) if isinstance(n, ast.Constant)]
        is_with_string = any(isinstance(n.value, str) and n.value != "kind" for n in constants)
        if is_with_string and any(map(_is_kind, sides)):
            yield ast.unparse(node)


def _is_kind(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="kind") | ast.Attribute(attr="kind"):
            return True
        case ast.Subscript(slice=ast.Constant(value="kind")):
            return True
    return False


SHARED_FILES = {"run.log", "manifest.json", "config.json"}  # of every run, and of every folder
FILES = {name for kind in KINDS.values() for name in kind.artifacts}
FILES |= {name for module in LANES if not _reads_runs(module) for name in _files_of(module)}
# What is one plain word, such as loss or seconds, is English before it is a metric.
METRICS = {name for kind in KINDS.values() for name in kind.metrics if "_" in name}
OF_LANES = {*LANE_NAMES, *KINDS, *METRICS, *FILES} - SHARED_FILES


@pytest.mark.parametrize("module", [module for module in OURS if module != "jobs.kinds"])
def test_nothing_outside_lanes_names_a_lane(module: str) -> None:
    parts = {part for word in _words_of(module) for part in re.findall(r"[\w.]+", word)}
    assert not parts & OF_LANES
    assert [*_kinds_told_apart(_tree(MODULES[module]))] == []


def test_a_kind_that_is_told_apart_by_its_name_is_seen() -> None:
    code = """
one.kind == "toy"
row["kind"] in ("toy", "other")
"toy" != kind
match kind:
    case "toy":
        pass
kind is None
kind in KINDS
row["kind"] == other["kind"]
match event["event"]:
    case "kind":
        pass
"""
    assert len([*_kinds_told_apart(ast.parse(code))]) == 4


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kind in KINDS.items() if kind.headline]
)
def test_the_headline_of_a_kind_is_one_of_its_metrics(name: str, kind: Kind) -> None:
    assert kind.headline in kind.metrics, name


@pytest.mark.parametrize("lane", LANE_NAMES)
def test_what_a_lane_tells_of_itself_is_light(lane: str) -> None:
    for other in _closure(f"lanes.{lane}.kind") - {"__init__"}:
        assert _room(other) == "ground" or _lane(other) == f"lanes.{lane}", other
    libraries = {
        name.partition(".")[0]
        for other in _closure(f"lanes.{lane}.kind")
        for name in _imports(MODULES[other])
    }
    assert not {*HEAVY} & libraries


def test_every_room_is_in_the_contracts_and_in_the_tree_of_the_readme() -> None:
    contracts = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8").split("\n## ")[1]
    assert re.findall(r"^\| `(\w+)` \|", contracts, re.MULTILINE) == [*ROOMS]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.partition("\nthunder/\n")[2].partition("\n```")[0]
    assert re.findall(r"^[├└]── (\w+)/ ", tree, re.MULTILINE)[: len(ROOMS)] == [*ROOMS]


@pytest.mark.parametrize("module", MODULES)
def test_no_module_and_no_function_is_too_long_to_be_read(module: str) -> None:
    source = _source(MODULES[module])
    assert len(source.splitlines()) <= 300
    functions = [n for n in ast.walk(_tree(MODULES[module])) if isinstance(n, ast.FunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 40] == []


def test_every_module_of_the_asr_lane_is_described_once() -> None:
    text = (ROOT / "docs" / "asr.md").read_text(encoding="utf-8")
    table = text.partition("## Modules of `thunder/lanes/asr/`")[2].partition("\n## ")[0]
    first = "".join(re.findall(r"^\|([^|]*)\|", table.partition("```")[0], re.MULTILINE)[2:])
    lane = PACKAGE / "lanes" / "asr"
    paths = [path.relative_to(lane).with_suffix("") for path in lane.rglob("*.py")]
    wanted = [".".join(path.parts) for path in paths if path.name != "__init__"]
    assert sorted(re.findall(r"`([\w.]+)`", first)) == sorted(wanted)


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("hydra", {"config.compose", "config.hydra_files", "config.overrides"}),
        ("omegaconf", {"config.compose", "config.hydra_files", "config.template"}),
        ("jsonschema", {"ground.schema_faults"}),
        ("jsonschema_rs", {"ground.schema"}),
        ("rfc8785", {"ground.digest"}),
        ("soundfile", {"lanes.asr.features.audio"}),
        ("matplotlib", {"lanes.asr.results.bundle.plots"}),
    ],
)
def test_a_library_has_few_importers(library: str, importers: set[str]) -> None:
    found = {
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in _imports(path, also_inside=True))
    }
    assert found == importers


def test_only_provenance_calls_git() -> None:
    found = {
        module for module, path in MODULES.items() if re.search(r"""["']git["'\s]""", _source(path))
    }
    assert found == {"runs.provenance"}


def test_few_modules_start_programs_and_those_say_what_they_do_without_them() -> None:
    """Beside Python itself: git, which is asked for the state of the code, and a C compiler.

    On a host, what its system and its GPU say of themselves; not known where they do not. There,
    the steps of an environment that is made as well; one that fails is its outcome.
    """
    starts = (
        r"subprocess\.(run|Popen|call|check_\w+)\(|posix_spawn\(|os\.(system|popen|exec|spawn|fork)"
    )
    found = {
        module
        for module, path in MODULES.items()
        if re.search(rf"{starts}|shutil\.which", _source(path))
    }
    of_python_alone = {"hosts.process", "hosts.lifeline", "commands.doctor"}
    of_hosts = {"hosts.far.builder", "hosts.far.machine", "hosts.far.processes"}
    assert found == {*of_python_alone, *of_hosts, "runs.provenance", "backends.mlx.blas"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "heavy"),
    [(["status"], (*HEAVY, "invoke")), (["--list"], HEAVY)],
    ids=["status", "--list"],
)
def test_questions_about_outputs_load_nothing_heavy(
    tmp_path: Path, words: list[str], heavy: tuple[str, ...]
) -> None:
    code = (
        "import sys\n"
        "from thunder.commands import tasks\n"
        f"code = tasks.main({words!r})\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "print(f'{code} {loaded}', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=60
    )
    assert done.stderr.strip() == "0 []"


@pytest.mark.slow
def test_a_dry_run_of_a_matrix_loads_no_backend(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from thunder.commands.main import main\n"
        "main(['matrix=adapter_rank', 'dry_run=true'])\n"
        f"print([name for name in {BACKENDS!r} if name in sys.modules],"
        " file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=60
    )
    assert done.stderr.strip() == "[]"


DOCUMENTS = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") or part == "outputs" for part in path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _source(path)):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("library", ["mlx", "mlx_lm", "torch"])
def test_a_backend_is_imported_by_backends_and_lanes_alone(library: str) -> None:
    found = {
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in _imports(path))
    }
    assert found
    assert {_room(module) for module in found} <= {"backends", "lanes"}


def test_every_task_is_in_the_documents() -> None:
    from thunder.commands import tasks

    text = "\n".join(_source(path) for path in DOCUMENTS)
    missing = [task.name for task in tasks.TASKS if not _names_task(text, task.name)]
    assert missing == []


def _names_task(text: str, name: str) -> bool:
    return re.search(rf"\bthunder {name}\b|^\| `{name}\b|`{name}`", text, re.MULTILINE) is not None


def _constants(module: object) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper()}


REPORTS = {name for kind in KINDS.values() if (name := kind.report)}
HOMES_OF_FILES = {
    **{name: {"ground.run_files"} for name in _constants(run_files)},
    run_files.MANIFEST: {"ground.run_files", "ground.input_files"},
    # A model folder is checked where thunder is not installed.
    run_files.CONFIG: {
        "ground.run_files", "ground.input_files", "lanes.adapter.model.model_folder",
    },
    **{name: {"lanes.adapter.artifacts"} for name in REPORTS},
    **{str(Path(name).with_suffix(".json")): set() for name in REPORTS},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOMES_OF_FILES))
def test_the_name_of_a_file_is_written_in_its_home_alone(name: str) -> None:
    assert _constants(input_files) < {*HOMES_OF_FILES}
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)")
    found = {module for module in MODULES if any(map(pattern.search, _words_of(module)))}
    assert found == HOMES_OF_FILES[name]


@functools.cache
def _joined_or_named(path: Path) -> set[str]:
    """The strings that a module makes a part of a path, or gives a name."""
    nodes = list(ast.walk(_tree(path)))
    values = [node.right for node in nodes if isinstance(node, ast.BinOp)]
    values += [node.value for node in nodes if isinstance(node, ast.Assign)]
    found = {node.value for node in values if isinstance(node, ast.Constant)}
    return {value for value in found if isinstance(value, str)}


@pytest.mark.parametrize("name", sorted(_constants(folders)))
def test_the_name_of_a_folder_of_outputs_is_written_in_its_home_alone(name: str) -> None:
    found = {module for module, path in MODULES.items() if name in _joined_or_named(path)}
    assert found == {"ground.folders"}


def test_the_process_of_a_run_has_the_names_of_its_files_for_nothing() -> None:
    assert _imports(MODULES["ground.run_files"]) == set()
