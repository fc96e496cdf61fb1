"""What is on its way is looked at while it goes, and nobody waits for a look."""

import threading
import time

from thunder.ground import moving


def test_who_stops_what_is_on_its_way_does_not_wait_for_a_host_that_hashes() -> None:
    begun, hashed = time.monotonic(), threading.Event()

    def size() -> int:
        hashed.wait(30)
        return 1

    seen: list[int] = []
    showing = moving.watched(size, 1, lambda done, _: seen.append(done))
    showing.__enter__()
    time.sleep(1.0)  # until it is asked how much is there
    assert not showing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert time.monotonic() - begun < 10
    hashed.set()
    assert seen == []
