"""What a process sends is an event, or garbage that is told as such."""

import pytest

from thunder.ground.errors import ThunderError
from thunder.hosts import pipe


@pytest.mark.parametrize(
    "line",
    [b"Segmentation fault", b"\xff", b"[]", b"{}", b'{"event": 1}', b"[" * 100_000],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_that_is_no_event_is_the_crash_of_who_wrote_it(line: bytes) -> None:
    with pytest.raises(ThunderError, match="sent what is not an event: '") as caught:
        pipe.parsed(line)
    assert caught.value.cause == "crash"


def test_an_event_is_read_as_it_was_sent() -> None:
    assert pipe.parsed(b'{"event": "step", "step": 1}\n') == {"event": "step", "step": 1}
