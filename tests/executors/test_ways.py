"""A pipe is shared by those who mean the same host, for as long as one of them is there."""

import dataclasses
import threading

from lab import Lab

from thunder.executors import ways
from thunder.hosts import host


def test_hosts_of_one_machine_with_other_folders_are_told_apart(lab: Lab) -> None:
    one = host.of_site(lab.site())["mac4"]
    other = dataclasses.replace(one, name="second", workspace="~/second")
    with ways.to(one) as way, ways.to(other) as second, ways.to(one) as again:
        assert (way.host, second.host) == (one, other)
        assert again is way


def test_who_comes_while_the_last_one_leaves_has_an_open_pipe(lab: Lab) -> None:
    mac4 = host.of_site(lab.site())["mac4"]
    leaving = ways.Way(mac4)
    way = leaving.connection()
    with leaving._way.lock:  # between being the last and closing
        last = threading.Thread(target=leaving.close)
        last.start()
        while leaving._way.users:
            pass
        coming = ways.Way(mac4)
    last.join()
    assert coming.connection() is way
    assert way.call("clock") > 0
    coming.close()
    assert way.is_lost
