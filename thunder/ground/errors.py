"""What the user can mend: errors that are shown as one message, without a traceback."""

from collections.abc import Sequence


class ThunderError(Exception):
    """A mistake or mishap that the user can act on.

    Args:
        message: place, what was found, what is allowed or what to do next.
        cause: the cause class, as listed in docs/contracts.md.
    """

    def __init__(self, message: str, cause: str = "user") -> None:
        super().__init__(message)
        self.cause = cause


class Faults(ThunderError):
    """Several faults of one input, reported together."""

    def __init__(self, title: str, faults: Sequence[str], cause: str = "user") -> None:
        super().__init__("\n".join([title, *(f"  {fault}" for fault in faults)]), cause)
        self.faults = list(faults)


class Stopped(ThunderError):
    """Somebody stopped the work; what is on disk can be resumed."""

    def __init__(self, message: str = "stopped") -> None:
        super().__init__(message, "stopped")
