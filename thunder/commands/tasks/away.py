"""Tasks about runs that live on hosts: watch one again, stop one."""

from thunder.commands import cli
from thunder.commands.selection import outputs_dir
from thunder.runs import store


@cli.task("run", run="an id, or its beginning")
def attach(run: str, outputs: str | None = None, config_dir: str = "") -> int | None:
    """Watch a run that lives on a host, and bring it home; one that it gave back begins anew."""
    from thunder.commands import attaching

    return attaching.watch(store.by_prefix(outputs_dir(outputs, config_dir), run))


@cli.task("run", run="an id, or its beginning")
def stop(run: str, outputs: str | None = None, config_dir: str = "") -> int | None:
    """Stop a run that lives on a host; it stays resumable."""
    from thunder.commands import attaching

    return attaching.stop(store.by_prefix(outputs_dir(outputs, config_dir), run))
