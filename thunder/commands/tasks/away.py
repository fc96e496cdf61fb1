"""Tasks about runs that live on hosts: watch one again, stop one."""

from collections.abc import Sequence

from thunder.commands import cli
from thunder.commands.selection import outputs_dir, places_dir
from thunder.config import sources
from thunder.ground import wording
from thunder.ground.errors import ThunderError
from thunder.runs import store


@cli.task("run", run="an id, or its beginning")
def attach(run: str, outputs: str | None = None, config_dir: str = "") -> int | None:
    """Watch a run that lives on a host, and bring it home."""
    from thunder.commands import attaching

    return attaching.watch(store.by_prefix(outputs_dir(outputs, config_dir), run))


@cli.task("run", run="an id, or its beginning")
def stop(run: str, outputs: str | None = None, config_dir: str = "") -> int | None:
    """Stop a run that lives on a host; it stays resumable."""
    from thunder.commands import attaching

    return attaching.stop(store.by_prefix(outputs_dir(outputs, config_dir), run))


def clean(host: str, yes: bool, words: Sequence[str], outputs: str | None, config_dir: str) -> None:
    """Show what lies on hosts and is proven home, or remove it there: `thunder hosts clean`.

    Args:
        host: the only one that is meant; all hosts of the site where it is empty.
        words: overrides; they choose the site.
    """
    from thunder.commands import cleaning
    from thunder.config import compose, overrides
    from thunder.hosts import host as machines

    places = sources.sources(places_dir(config_dir))
    parsed = overrides.parse(words, places)
    site = compose.compose(parsed.choices, places).fill(parsed.values)["runtime"]["site"]
    known = machines.of_site(site)
    if host and host not in known:
        raise ThunderError(
            f"site {site['name']!r} has no host {host!r}{wording.nearest(host, list(known))}; "
            f"hosts: {', '.join(known) or 'none'}"
        )
    chosen = [known[host]] if host else list(known.values())
    copies = cleaning.clean(chosen, outputs_dir(outputs, config_dir), remove=yes)
    print("\n".join(cleaning.lines(copies, removed=yes)))
