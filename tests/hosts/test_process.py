"""A process that was started is ended with all that it started, and found out about."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from thunder.hosts import process

SLOW = pytest.mark.slow
STUBBORN = "trap '' TERM HUP; (trap '' TERM HUP; sleep 60) & echo $!; wait"


def begin(*command: str) -> "subprocess.Popen[bytes]":
    return process.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def close(started: "subprocess.Popen[bytes]") -> None:
    process.end([started], 0.0)
    assert started.stdout is not None
    started.stdout.close()


def wait_for(claim: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not claim() and time.monotonic() < deadline:
        time.sleep(0.02)
    return claim()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@SLOW
def test_who_heeds_its_lifeline_ends_by_itself_and_the_stubborn_with_all_they_started() -> None:
    good, bad = begin("cat"), begin("/bin/sh", "-c", STUBBORN)
    assert bad.stdout is not None
    child = int(bad.stdout.readline())
    process.end([good, bad], 0.3)
    assert (good.returncode, bad.returncode) == (0, -signal.SIGKILL)
    assert wait_for(lambda: is_gone(child))
    for one in (good, bad):
        close(one)


@SLOW
def test_what_a_process_that_is_gone_left_behind_is_ended() -> None:
    first = begin("/bin/sh", "-c", "sleep 60 & echo $!")
    assert first.stdout is not None
    child = int(first.stdout.readline())
    assert wait_for(lambda: psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE)
    assert not is_gone(child)
    close(first)
    assert wait_for(lambda: is_gone(child))


def test_a_number_that_leads_no_session_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        process.kill(other)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.1)
        other.kill()


def test_no_group_gets_a_signal_after_its_leader_was_reaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = begin("true")
    codes: list[int | None] = []
    monkeypatch.setattr(os, "killpg", lambda *_: codes.append(first.returncode))
    assert process.wait(first, 10) == 0
    process.terminate(first)
    process.kill(first)
    close(first)
    assert codes == [None]


def test_a_suspended_process_is_known_as_such() -> None:
    first = begin("cat")
    assert not process.is_stopped(first.pid)
    first.send_signal(signal.SIGSTOP)
    assert wait_for(lambda: process.is_stopped(first.pid))
    close(first)
    assert not process.is_stopped(first.pid)


@SLOW
def test_a_checkout_that_is_not_installed_is_found_by_its_children() -> None:
    code = "import os; os.chdir('/'); import thunder; print(thunder.__file__)"
    first = begin(sys.executable, "-S", "-c", code)
    assert first.stdout is not None
    assert first.stdout.read().strip().endswith(b"thunder/__init__.py")
    close(first)
