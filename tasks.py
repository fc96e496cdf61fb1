"""`inv` in the repository: the same tasks as the `thunder` command."""

from thunder.commands.tasks import namespace as ns  # noqa: F401  Invoke looks for `ns`
