"""A process does not outlive who holds its lifeline, whatever state it is in."""

import os
import signal
import subprocess
import sys

import pytest

from thunder.hosts import lifeline, process

pytestmark = pytest.mark.slow

ORDERS = (
    "from thunder.hosts import lifeline; import time; print(lifeline.line(), end='', flush=True); "
)


def begin(code: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", ORDERS + code]
    return process.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def order(started: "subprocess.Popen[bytes]", text: str) -> bytes:
    """Send orders and return the first line of what comes back."""
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(text.encode())
    started.stdin.flush()
    return started.stdout.readline()


def code_without_lifeline(started: "subprocess.Popen[bytes]") -> int:
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.close()
    started.stdout.close()
    return started.wait(10)


def test_orders_are_read_by_lines_and_what_follows_is_the_lifeline() -> None:
    started = begin("lifeline.watch(lifeline.leave); time.sleep(60)")
    assert order(started, "ߒߞߏ\nnot an order") == "ߒߞߏ\n".encode()
    assert started.poll() is None
    assert code_without_lifeline(started) == lifeline.LIFELINE_GONE


def test_who_waits_for_orders_leaves_with_its_lifeline() -> None:
    assert code_without_lifeline(begin("pass")) == lifeline.LIFELINE_GONE


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"], ids=["programs", "no programs"])
def test_a_guarded_process_that_is_stopped_ends_with_its_lifeline(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("PATH", path)
    started = begin("lifeline.guard(); print('ready', flush=True); time.sleep(60)")
    assert order(started, "go\n") == b"go\n"
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    started.send_signal(signal.SIGSTOP)
    assert code_without_lifeline(started) == -signal.SIGKILL


def test_beats_come_until_the_lifeline_is_gone() -> None:
    started = begin(
        "lifeline.watch(lifeline.leave, lambda: print('beat', flush=True), 0.02); time.sleep(60)"
    )
    assert order(started, "go\n") == b"go\n"
    assert started.stdout is not None
    assert [started.stdout.readline() for _ in range(3)] == [b"beat\n"] * 3
    assert code_without_lifeline(started) == lifeline.LIFELINE_GONE
