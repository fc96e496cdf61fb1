"""Thunder's folder on a host: outputs in it, as on any machine, and their cache."""

from thunder.ground import folders


def outputs_in(workspace: str) -> str:
    """Return the folder of the runs in a workspace."""
    return f"{workspace}/outputs"


def cache_in(workspace: str) -> str:
    """Return the folder of what can be made again, for runs that live there and ranks alike."""
    return f"{outputs_in(workspace)}/{folders.CACHE}"
