"""Each load happens in a process of its own, as a process has one global scope."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from thunder.backends.mlx import blas

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has Accelerate")

LOAD = """
import json, sys
from pathlib import Path
from thunder.backends.mlx import blas
report = blas.load(Path(sys.argv[1]))
"""
PRINT = "print(json.dumps(report))\n"
PRODUCT = """
import mlx.core as mx, numpy as np
a, b = (np.random.default_rng(s).standard_normal((64, 64), np.float32) for s in (0, 1))
assert np.allclose(np.array(mx.array(a) @ mx.array(b)), a @ b, atol=1e-4)
"""
OTHER_BLAS = r"""
char *openblas_get_config(void) { return "OpenBLAS 9.9.9 %s MAX_THREADS=2"; }
char *openblas_get_corename(void) { return "Toy"; }
void openblas_set_num_threads(int threads) {}
int MKL_Set_Interface_Layer(int layer) { return layer; }
int MKL_Set_Threading_Layer(int layer) { return layer; }
void cblas_sgemm(void) {}
void cblas_dgemm(void) {}
void cblas_cgemm(void) {}
"""


def _start(code: str, cache: Path, **environment: str) -> subprocess.Popen[str]:
    # An unreadable library of the same name hides one that this machine may have.
    hidden = cache.parent / "hidden"
    hidden.mkdir(exist_ok=True)
    for name in ("libopenblas.so.0", "libmkl_rt.so.2"):
        (hidden / name).touch()
    variables = {**os.environ, "LD_LIBRARY_PATH": str(hidden), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(cache)],
        env={key: value for key, value in variables.items() if key not in blas.THREADS},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _result(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


def _run(code: str, cache: Path, **environment: str) -> Any:
    return _result(_start(code, cache, **environment))


def _no_compiler(tmp_path: Path) -> str:
    empty = tmp_path / "no_programs"
    empty.mkdir()
    return str(empty)


def _library(path: Path, words: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    compiler = shutil.which("cc")
    assert compiler
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)],
        input=OTHER_BLAS.replace("%s", words),
        text=True,
        check=True,
    )
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_mlx_calls_the_openblas_of_numpy_and_multiplies_right(tmp_path: Path, cache: Path) -> None:
    bindings = tmp_path / "bindings"
    debug = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(bindings)}
    report = _run(LOAD + PRODUCT + PRINT, cache, **debug)
    assert (report["name"], report["warning"]) == ("openblas (numpy's own)", None)
    assert report["path"].startswith("libscipy_openblas64_")
    assert report["threads"] == 1
    log = "".join(path.read_text() for path in tmp_path.glob("bindings.*"))
    bound = [line for line in log.splitlines() if "libmlx.so" in line and "`cblas_sgemm'" in line]
    assert bound
    assert all("to " + str(cache) in line for line in bound)


def test_shim_is_compiled_once_and_found_without_a_compiler(tmp_path: Path, cache: Path) -> None:
    first = _run(LOAD + PRINT, cache)
    assert _run(LOAD + PRINT, cache, PATH=_no_compiler(tmp_path)) == first
    assert len(list(cache.iterdir())) == 1


def test_broken_shim_is_compiled_again(cache: Path) -> None:
    _run(LOAD + PRINT, cache)
    (shim,) = cache.iterdir()
    whole = shim.read_bytes()
    shim.write_bytes(whole[:100])
    assert _run(LOAD + PRINT, cache)["warning"] is None
    assert len(shim.read_bytes()) == len(whole)


def test_two_ranks_may_compile_at_once(cache: Path) -> None:
    reports = [_result(rank) for rank in [_start(LOAD + PRINT, cache) for _ in range(2)]]
    assert [report["warning"] for report in reports] == [None, None]
    assert len(list(cache.iterdir())) == 1


def test_nothing_is_written_outside_the_cache(tmp_path: Path, cache: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = sorted(Path(blas.__file__).parent.glob("*"))
    _run(LOAD + PRINT, cache, TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1")
    assert not list(temporary.iterdir())
    assert sorted(Path(blas.__file__).parent.glob("*")) == before


def test_without_compiler_the_slow_blas_is_used_and_the_remedy_said(
    tmp_path: Path, cache: Path
) -> None:
    report = _run(LOAD + PRODUCT + PRINT, cache, PATH=_no_compiler(tmp_path))
    assert report["name"] == "netlib (slow)"
    assert "no C compiler on PATH" in report["warning"]
    assert "install libopenblas0 or a C compiler" in report["warning"]


def test_failing_compiler_is_quoted(tmp_path: Path, cache: Path) -> None:
    compiler = tmp_path / "programs" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'cc: cannot find stdint.h' >&2\nexit 3\n")
    compiler.chmod(0o755)
    report = _run(LOAD + PRINT, cache, PATH=str(compiler.parent))
    assert report["name"] == "netlib (slow)"
    assert "cc failed with 3: 'cc: cannot find stdint.h'" in report["warning"]
    assert not list(cache.iterdir())


def test_cache_that_cannot_be_made_is_a_reason_and_no_crash(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file in the way")
    report = _run(LOAD + PRINT, cache)
    assert report["name"] == "netlib (slow)"
    assert "cache" in report["warning"]


def test_openblas_of_the_system_comes_first(tmp_path: Path, cache: Path) -> None:
    library = _library(tmp_path / "system" / "libopenblas.so.0")
    report = _run(LOAD + PRINT, cache, LD_LIBRARY_PATH=str(library.parent))
    assert report == {
        "name": "openblas (system)",
        "version": "9.9.9 on Toy",
        "path": "libopenblas.so.0",
        "threads": 1,
        "warning": None,
    }
    assert not cache.exists()


def test_openblas_with_wide_integers_is_refused(tmp_path: Path, cache: Path) -> None:
    library = _library(tmp_path / "system" / "libopenblas.so.0", "USE64BITINT")
    report = _run(LOAD + PRODUCT + PRINT, cache, LD_LIBRARY_PATH=str(library.parent))
    assert report["name"] == "openblas (numpy's own)"


def test_mkl_serves_where_nothing_can_be_compiled(tmp_path: Path, cache: Path) -> None:
    hidden = tmp_path / "system"
    library = _library(hidden / "libmkl_rt.so.2")
    (hidden / "libopenblas.so.0").touch()
    path = _no_compiler(tmp_path)
    report = _run(LOAD + PRINT, cache, PATH=path, LD_LIBRARY_PATH=str(library.parent))
    assert (report["name"], report["path"]) == ("mkl", "libmkl_rt.so.2")


def test_library_that_was_there_before_is_named(tmp_path: Path, cache: Path) -> None:
    library = _library(tmp_path / "system" / "libother.so")
    report = _run(LOAD + PRINT, cache, LD_PRELOAD=str(library))
    assert report["name"] == "netlib (slow)"
    assert "was loaded before" in report["warning"]
    assert report["path"] == "libother.so"


def test_load_after_mlx_is_reported(cache: Path) -> None:
    report = _run("import mlx.core\n" + LOAD + PRINT, cache)
    assert "mlx.core was imported before" in report["warning"]


def test_second_load_says_the_same_whatever_its_cache(tmp_path: Path, cache: Path) -> None:
    again = "report = [report, blas.load(Path(sys.argv[1]) / 'elsewhere')]\n"
    first, second = _run(LOAD + again + PRINT, cache)
    assert first == second
    assert not (cache / "elsewhere").exists()


def test_one_thread_even_where_numpy_came_first(cache: Path) -> None:
    count = """
import ctypes
library = ctypes.CDLL(str(blas._numpy_file()))
report = library.scipy_openblas_get_num_threads64_()
"""
    assert _run("import numpy\n" + LOAD + count + PRINT, cache) == 1


def test_describe_compiles_nothing_and_imports_no_mlx(cache: Path) -> None:
    code = """
import json, sys
from thunder.backends.mlx import blas
report = {**blas.describe(), "mlx": "mlx.core" in sys.modules}
"""
    report = _run(code + PRINT, cache)
    assert (report["name"], report["mlx"]) == ("openblas (numpy's own)", False)
    assert report["compiler"] in ("cc", "gcc", "clang")
    assert not cache.exists()


def test_every_rank_gets_one_thread_no_network_and_no_compiling() -> None:
    variables = blas.environment()
    assert {variables[name] for name in blas.THREADS} == {"1"}
    assert (variables["HF_HUB_OFFLINE"], variables["TOKENIZERS_PARALLELISM"]) == ("1", "false")
    assert variables["MLX_DISABLE_COMPILE"] == "1"
