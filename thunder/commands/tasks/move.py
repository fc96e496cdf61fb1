"""Tasks that bring files to hosts."""

from collections.abc import Sequence

from thunder.commands import cli, selection
from thunder.commands.selection import outputs_dir, places_dir
from thunder.config import sources
from thunder.ground import names


@cli.task(
    "name", name="a matrix or a profile; +profile=NAME and matrix=NAME do as well",
    site="of the hosts, as the word site=NAME does",
    to="one host of the site (default: all that it runs something on)",
    data="data sets alone", model="models alone",
    check="bring nothing: show, host by host, what a run would find there",
)  # fmt: skip
def sync(
    name: str = "", set: Sequence[str] | None = None, site: str = "", to: str = "",
    data: bool = False, model: bool = False, check: bool = False, outputs: str | None = None,
    config_dir: str = "", json: bool = False,
) -> int | None:  # fmt: skip
    """Bring what jobs read to the hosts of their site, from where it is whole."""
    from thunder.commands import sync as syncing
    from thunder.ground import command, files
    from thunder.screen import lines as screen
    from thunder.training import events, preflight

    words = [*_named(name, config_dir), *(set or ())]
    if site:
        words.append(f"site={command.spelt(site)}")
    if outputs is not None:
        words.append(f"outputs={command.spelt(str(outputs_dir(outputs, config_dir)))}")
    asked = syncing.Asked(
        words, to, lambda section: data == model or data == (section == "data"),
        places_dir(config_dir),
    )  # fmt: skip
    if not check:
        return syncing.run(asked, lambda line: print(line, flush=True))
    rows = syncing.check(asked)
    if json:
        print(files.render_json(rows), end="")
    else:
        print("\n".join(screen.event_lines(events.checks("hosts", rows))))
    return 1 if preflight.failed(rows) else 0


def _named(name: str, config_dir: str) -> list[str]:
    """Return the word of the main command that a bare name stands for."""
    if not name:
        return []
    names.check(name, selection.NAMED)
    places = sources.sources(places_dir(config_dir))
    is_profile = name in places.groups.get("profile", [])
    return [f"+profile={name}" if is_profile else f"matrix={name}"]
