"""What cannot be done there."""


class Refused(Exception):
    """What was asked cannot be done; the text says why."""
