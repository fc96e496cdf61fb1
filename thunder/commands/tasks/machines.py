"""Tasks about machines behind ssh: what they are and have, and to prepare them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thunder.commands import cli
from thunder.commands.selection import outputs_dir, places_dir
from thunder.config import sources
from thunder.ground import files
from thunder.ground.errors import ThunderError

_PREPARE, _CLEAN = "prepare", "clean"


@cli.task(
    "action", "host",
    action="prepare, clean, or the name of a host to ask (default: ask every one)",
    host="the host to make an environment on, or to clean (default: every one)",
    site="a site that has hosts (default: conf/local.yaml's); site=NAME means the same",
    extra="prepare: extras of thunder that it needs as well, with commas between",
    lend_network="prepare: pip there goes through this machine, where the host has no internet",
    yes="clean: remove there what is proven home; without it, show what that is",
    speed="measure how fast each multiplies matrices, and advise shares of rows",
)  # fmt: skip
def hosts(
    action: str = "", host: str = "", site: str = "", extra: str = "", speed: bool = False,
    lend_network: bool = False, yes: bool = False, outputs: str | None = None,
    set: Sequence[str] | None = None, config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Say what the hosts of a site are and have; `prepare` readies them, `clean` makes room."""
    from thunder.commands import hosts as views

    actions, folder = (_PREPARE, _CLEAN), outputs_dir(outputs, config_dir)
    if host and action not in actions:
        named = ", ".join(actions)
        order = f" (thunder hosts {host} {action}?)" if host in actions else ""
        raise ThunderError(f"hosts {action!r}: not an action{order}; actions: {named}; or one host")
    places = sources.sources(places_dir(config_dir))
    chosen = views.site(site, set or (), places)
    name = host or (action if action not in actions else "")
    wanted = views.chosen(chosen, name, places.flags)
    if action == _PREPARE:
        return _prepared(wanted, extra, lends_network=lend_network, is_json=json)
    if action == _CLEAN:
        _clean(wanted, folder, remove=yes)
        return None
    report = views.examine(chosen, wanted, speed=speed)
    print(files.render_json(report) if json else views.render(report), end="")
    return None if report["ready"] else 1


def _prepared(wanted: Any, extra: str, *, lends_network: bool, is_json: bool) -> int | None:
    from thunder.hosts import preparing, requirements

    parts = requirements.parts(extra.split(",") if extra else [])
    tell = (lambda line: None) if is_json else (lambda line: print(line, flush=True))
    rows = preparing.on_hosts(wanted, parts, tell, lends_network=lends_network)
    if is_json:
        print(files.render_json(rows), end="")
    return 1 if any(row["fault"] for row in rows) else None


def _clean(wanted: Any, outputs: Path, *, remove: bool) -> None:
    from thunder.commands import cleaning

    copies = cleaning.clean(list(wanted.values()), outputs, remove=remove)
    print("\n".join(cleaning.lines(copies, removed=remove)))
