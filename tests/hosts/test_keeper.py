"""A process on a host lives as long as who started it is heard, and ends as it ended."""

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from thunder.hosts import keeper

HOLD = (
    "import sys; from thunder.hosts import keeper\n"
    "sys.exit(keeper.hold(sys.argv[2:], float(sys.argv[1])))"
)
ECHO = "import sys\nfor line in sys.stdin.buffer: print(line, flush=True)"
DEAF = "import time\nprint('here', flush=True)\nwhile True: time.sleep(9)"


def kept(code: str, silent: float = 60.0) -> "subprocess.Popen[bytes]":
    words: Sequence[str] = [sys.executable, "-c", HOLD, str(silent), sys.executable, "-c", code]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_what_is_said_comes_through_and_beats_do_not() -> None:
    with kept(ECHO) as process:
        out, _ = process.communicate(keeper.BEAT + b"one\n" + keeper.BEAT * 2 + b"tw\0o\n")
    assert out.splitlines() == [b"b'one\\n'", b"b'two\\n'"]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("raise SystemExit(5)", 5),
        ("import os; os.kill(os.getpid(), 9)", keeper.SIGNALLED + 9),
        ("import os; os.kill(os.getpid(), 15)", keeper.SIGNALLED + 15),
    ],
)
def test_it_ends_as_what_it_held(code: str, ended: int) -> None:
    with kept(code) as process:
        assert process.wait(timeout=20) == ended


def test_silence_ends_what_hears_no_end_of_its_pipe() -> None:
    with kept(DEAF, silent=1.0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        begun = time.monotonic()
        assert process.wait(timeout=20) == keeper.SIGNALLED + 9
        assert time.monotonic() - begun < 8


def test_beats_keep_it_alive() -> None:
    with kept(DEAF, silent=1.0) as process:
        assert process.stdin is not None
        for _ in range(8):
            process.stdin.write(keeper.BEAT)
            process.stdin.flush()
            time.sleep(0.3)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=20) == keeper.SIGNALLED + 9
