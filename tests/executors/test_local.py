"""The local executor: what a child says last is heard, whenever it ends."""

import os
import subprocess
import threading
from pathlib import Path
from typing import cast

from thunder.executors import local
from thunder.executors.place import Order


class LastWord:
    """A child that speaks and ends between a look at the pipe and a look at the child."""

    pid = 0

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @property
    def returncode(self) -> int:
        if self.descriptor >= 0:
            os.write(self.descriptor, b'{"event": "result", "metrics": {}}\n')
            os.close(self.descriptor)
            self.descriptor = -1
        return 0


def test_the_last_word_of_a_child_that_has_ended_is_heard() -> None:
    read_end, write_end = os.pipe()
    child = cast("subprocess.Popen[bytes]", LastWord(write_end))
    order = Order(Path(), "", lock=-1, frozen_seconds=30.0, hung_seconds=30.0)
    events = list(local._events(local.Child(order, child, read_end), threading.Event()))
    os.close(read_end)
    assert [event["event"] for event in events] == ["result"]
