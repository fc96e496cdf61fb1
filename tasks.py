"""`inv` in the repository: the same tasks as the `thunder` command."""

from thunder.commands import collection
from thunder.commands.tasks import TASKS

ns = collection.of(TASKS)  # the name that Invoke looks for
