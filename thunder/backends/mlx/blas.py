"""Puts a fast BLAS under MLX on Linux; the only place that loads a library by hand."""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from thunder.backends.mlx import symbols

# Sums depend on the number of threads, so every process computes with one.
THREADS = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
CUDA = ("mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")
SYSTEM, NUMPY, MKL, NETLIB = "openblas (system)", "openblas (numpy's own)", "mkl", "netlib (slow)"
GEMMS = frozenset({"cblas_sgemm", "cblas_dgemm", "cblas_cgemm"})
SHIM = Path(__file__).with_name("blas_shim.c")
COMPILE_SECONDS = 60

_Library = tuple[ctypes.CDLL, str | None]
# One per process, as the loader's global scope is: the first library in it wins.
_loaded: dict[str, Any] = {}


class _Refused(Exception):
    """A BLAS that cannot be used, with the reason."""


def environment() -> dict[str, str]:
    """Return the variables that every rank process must start with."""
    return {**_numerics(), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def load(cache: Path) -> dict[str, Any]:
    """Load the best BLAS at hand, before `mlx.core` is imported, and say which one it is.

    Args:
        cache: the folder for the compiled shim, the only place that is written.
    """
    if not _loaded:
        os.environ.update(_numerics())
        _loaded.update(_choose(lambda: _shim(cache), ctypes.RTLD_GLOBAL))
    return dict(_loaded)


def describe() -> dict[str, Any]:
    """Return what `load` found or would find, and the compiler, without compiling anything."""
    compiler = _compiler()
    report = _loaded or _choose(_numpy_behind_compiler, ctypes.RTLD_LOCAL)
    return {**report, "compiler": compiler and Path(compiler).name}


def _numerics() -> dict[str, str]:
    # On a CPU compiled kernels are no faster, and a cold cache of them costs half a minute of g++.
    return {**THREADS, "MLX_DISABLE_COMPILE": "1"} if _is_cpu_only() else dict(THREADS)


def _is_cpu_only() -> bool:
    return sys.platform != "darwin" and not any(map(_is_installed, CUDA))


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _choose(numpys_own: Callable[[], _Library], mode: int) -> dict[str, Any]:
    if sys.platform == "darwin":
        return _report("accelerate", platform.mac_ver()[0] or None, "Accelerate")
    if "mlx.core" in sys.modules:
        return _slow(["mlx.core was imported before blas.load"])
    reasons = []
    candidates = ((SYSTEM, lambda: _system(mode)), (NUMPY, numpys_own), (MKL, lambda: _mkl(mode)))
    for name, candidate in candidates:
        try:
            library, version = candidate()
            if mode == ctypes.RTLD_GLOBAL:
                _check_taken(library)
        except (_Refused, OSError) as error:
            reasons.append(f"{name}: {error}")
        else:
            path = str(_numpy_file()) if name == NUMPY else symbols.file_of(library, "cblas_sgemm")
            return _report(name, version, path)
    return _slow(reasons)


def _report(
    name: str, version: str | None, path: str | None, warning: str | None = None
) -> dict[str, Any]:
    file = Path(path).name if path else None
    return {"name": name, "version": version, "path": file, "threads": 1, "warning": warning}


def _slow(reasons: list[str]) -> dict[str, Any]:
    warning = (
        f"mlx computes with its own netlib BLAS, which is several times slower "
        f"({'; '.join(reasons)}); install libopenblas0 or a C compiler (cc)"
    )
    return _report(NETLIB, None, symbols.file_of(ctypes.CDLL(None), "cblas_sgemm"), warning)


def _system(mode: int) -> _Library:
    library = ctypes.CDLL("libopenblas.so.0")
    _check_names(library, GEMMS)
    version = _openblas_version(library, "openblas_{}", integer_bits=32)
    return ctypes.CDLL("libopenblas.so.0", mode=mode), version


def _shim(cache: Path) -> _Library:
    # The shim names no library, so that it outlives a moved installation: numpy's comes first.
    _, version = _numpy(ctypes.RTLD_GLOBAL)
    path = cache / _shim_name()
    if not path.is_file():
        _compile(path)
    try:
        return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL), version
    except OSError:
        _compile(path)
        return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL), version


def _numpy_behind_compiler() -> _Library:
    if _compiler() is None:
        raise _Refused("no C compiler on PATH")
    return _numpy(ctypes.RTLD_LOCAL)


def _numpy(mode: int) -> _Library:
    library = ctypes.CDLL(str(_numpy_file()), mode=mode)
    _check_names(library, [f"scipy_{name}64_" for name in GEMMS])
    return library, _openblas_version(library, "scipy_openblas_{}64_", integer_bits=64)


def _numpy_file() -> Path:
    package = importlib.util.find_spec("numpy")
    folder = Path(package.origin).parents[1] / "numpy.libs" if package and package.origin else None
    for path in sorted(folder.glob("libscipy_openblas64_*.so")) if folder else ():
        return path
    raise _Refused("numpy carries no libscipy_openblas64")


def _mkl(mode: int) -> _Library:
    # The file of a wheel lies outside the loader's path.
    names = sorted(str(path) for path in Path(sys.prefix, "lib").glob("libmkl_rt.so*"))
    for name in (*names, "libmkl_rt.so.2"):
        try:
            library = ctypes.CDLL(name, mode=mode)
        except OSError:
            continue
        _check_names(library, GEMMS)
        library.MKL_Set_Interface_Layer(0)  # 32-bit integers
        library.MKL_Set_Threading_Layer(1)  # sequential
        return library, None
    raise _Refused("no libmkl_rt.so")


def _openblas_version(library: ctypes.CDLL, names: str, integer_bits: int) -> str | None:
    """Pin an OpenBLAS to one thread; return its version and the processor its sums are made for."""
    _check_names(library, [names.format(n) for n in ("get_config", "get_corename")])
    config, core = (getattr(library, names.format(n)) for n in ("get_config", "get_corename"))
    config.restype = core.restype = ctypes.c_char_p
    words = config().decode().split()
    if ("USE64BITINT" in words) != (integer_bits == 64):
        raise _Refused(f"{Path(library._name).name} does not take integers of {integer_bits} bits")
    # The variable came too late if numpy was imported before.
    getattr(library, names.format("set_num_threads"))(1)
    return f"{words[1]} on {core().decode()}"


def _check_names(library: ctypes.CDLL, names: Iterable[str]) -> None:
    if missing := sorted(name for name in names if not hasattr(library, name)):
        raise _Refused(f"{Path(library._name).name} has no {', '.join(missing)}")


def _check_taken(library: ctypes.CDLL) -> None:
    everything = ctypes.CDLL(None)
    for name in sorted(_taken_by_mlx()):
        if symbols.address(library, name) != symbols.address(everything, name):
            raise _Refused(f"{name} was loaded before, from {symbols.file_of(everything, name)!r}")


def _taken_by_mlx() -> frozenset[str]:
    """Return the matrix products that libmlx takes from another library."""
    package = importlib.util.find_spec("mlx")
    folders = (package.submodule_search_locations or ()) if package else ()
    path = next((p for f in folders if (p := Path(f, "lib", "libmlx.so")).is_file()), None)
    try:
        names = symbols.taken_by(path) if path else GEMMS
    except ValueError:
        return GEMMS
    if path and "cblas_sgemm" not in names:
        raise _Refused(f"{path.name} takes no cblas_sgemm from another library")
    return frozenset(name for name in names if re.fullmatch("cblas_[sdcz]gemm", name))


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _shim_name() -> str:
    target = _numpy_file()
    parts = (SHIM.read_bytes(), target.name.encode(), str(target.stat().st_size).encode())
    digest = hashlib.sha256(b"\0".join((*parts, platform.machine().encode())))
    return f"libthunder_blas-{digest.hexdigest()[:16]}.so"


def _compile(path: Path) -> None:
    """Compile the shim beside and rename it, as several ranks may do so at once."""
    compiler = _compiler()
    if compiler is None:
        raise _Refused("no C compiler on PATH")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".blas.", dir=path.parent) as work:
        built = Path(work, path.name)
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(built), str(SHIM)]
        # The compiler's own temporary files must stay in the cache, too.
        environment = {**os.environ, "TMPDIR": work}
        name = Path(compiler).name
        try:
            done = subprocess.run(
                command, env=environment, timeout=COMPILE_SECONDS, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired as error:
            raise _Refused(f"{name} took over {COMPILE_SECONDS} s") from error
        if done.returncode or not built.is_file():
            complaint = (done.stderr.strip().splitlines() or [""])[0]
            raise _Refused(f"{name} failed with {done.returncode}: {complaint!r}")
        os.replace(built, path)
