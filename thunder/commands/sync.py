"""What jobs read, brought to the hosts of their site from where it is whole."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thunder.commands import requests
from thunder.config import sources
from thunder.ground import command, wording
from thunder.ground.errors import Faults, Stopped, ThunderError
from thunder.hosts import connection, host, inputs, sync, sync_home
from thunder.hosts.host import Host
from thunder.hosts.inputs import Input
from thunder.jobs.inputs import sources_of
from thunder.screen import moving

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be brought, and whereto.

    Args:
        words: of the main command: a profile or a matrix, and overrides.
        to: the host's name, or nothing: every host that the site uses.
        wants: says whether a section is asked for.
    """

    words: Sequence[str]
    to: str
    wants: Callable[[str], bool]
    config_dir: Path | None


def run(asked: Asked, say: Say) -> int:
    """Bring what is asked for; returns 1 if a host could not be served."""
    try:
        _bring_home(asked, say)
        configs = _configs(asked)
        hosts = _hosts(asked, configs[0]["runtime"]["site"])
        failed, brought = [], 0
        for one in hosts:
            try:
                brought += _serve(one, configs[0]["runtime"]["site"], _items(asked, configs), say)
            except ThunderError as error:
                failed.append(one.name)
                say(f"FAILED  {one.name}: {error}")
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on from where it was") from None
    say(_ending([one.name for one in hosts if one.name not in failed], failed, brought))
    return 1 if failed else 0


def check(asked: Asked) -> list[dict[str, str]]:
    """Return the rows of a preflight of the hosts alone; nothing is brought but thunder itself."""
    from thunder.training import host_checks
    from thunder.training.preflight import Checks

    checks = Checks(host.HERE)
    for config in _configs(asked):
        if built := [item.label for item in inputs.of_job(config) if item.here is None]:
            raise ThunderError(
                f"{', '.join(built)}: stand-ins are built, and brought, when a run needs them: "
                "there is nothing to check before"
            )
        names = [one.name for one in _hosts(asked, config["runtime"]["site"])]
        host_checks.run(config, {}, checks, names=names, brings=False)
    return checks.rows


def _configs(asked: Asked) -> list[dict[str, Any]]:
    """Return the configs of the jobs that read different things."""
    cells = requests.read(asked.words, config_dir=asked.config_dir).cells
    configs = {repr(_sources(cell.job.config)): cell.job.config for cell in cells}
    return list(configs.values())


def _sources(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: section["source"] for name, section in sources_of(config).items()}


def _items(asked: Asked, configs: Sequence[Mapping[str, Any]]) -> list[Input]:
    items = {
        (item.name, repr(item.source)): item
        for config in configs
        for item in inputs.of_job(config)
        if asked.wants(item.name)
    }
    return list(items.values())


def _hosts(asked: Asked, site: Mapping[str, Any]) -> list[Host]:
    """Return the host that is named, else those that the site puts runs or ranks on."""
    every = host.of_site(site, _command(asked))
    if asked.to:
        if asked.to not in every:
            hint = wording.nearest(asked.to, list(every))
            known = ", ".join(every) or "none"
            raise ThunderError(
                f"--to {asked.to}: no host of site {site['name']!r}{hint}; its hosts: {known}"
            )
        return [every[asked.to]]
    named = [one["name"] for one in site["ranks_on"]]
    named += [] if site["runs_on"] == "local" else site["runs_on"]
    used = [name for name in dict.fromkeys(named) if name in every]
    if not used:
        known = f"name one of {', '.join(every)} by --to" if every else "choose another, site=NAME"
        raise ThunderError(f"site {site['name']!r} runs nothing on a host behind ssh: {known}")
    return [every[name] for name in used]


def _command(asked: Asked) -> str:
    return command.line(*sources.sources(asked.config_dir).flags)


def _serve(one: Host, site: Mapping[str, Any], items: Sequence[Input], say: Say) -> int:
    """Bring inputs to one host; returns the bytes."""
    brought = 0
    with connection.opened(one) as way:
        for item in items:
            name = f"{one.name}  {item.name} {item.label}"
            if item.here is None:
                say(f"skipped {name}: a stand-in, built and brought when a run needs it")
                continue
            place, begun = inputs.place(way, item, site), time.monotonic()
            with moving.shown(name, say) as show:
                before = sync.bring(way, item, place, show)
            for note in before.notes:
                say(f"note    {name}: {note}")
            brought += before.bytes
            what = _brought(before, time.monotonic() - begun)
            say(f"{'whole' if before.is_whole else 'brought':<7} {name}: {what}; {place.path}")
    return brought


def _brought(before: sync.State, seconds: float) -> str:
    if before.is_whole:
        return "nothing was lacking"
    count = wording.count(len(before.lacking), "file")
    rate = before.bytes / max(seconds, 1e-3) / 1e6
    return f"{count}, {before.bytes / 1e6:,.1f} MB in {seconds:.1f} s ({rate:,.1f} MB/s)"


def _ending(served: Sequence[str], failed: Sequence[str], brought: int) -> str:
    what = f"{brought / 1e6:,.1f} MB brought" if brought else "nothing to do"
    whole = f"; whole on {', '.join(served)}" if served else ""
    return what + whole + (f"; FAILED: {', '.join(failed)}" if failed else "")


def _bring_home(asked: Asked, say: Say) -> None:
    """Bring what this machine has not got whole from the first host that has it."""
    try:
        requests.read(asked.words, config_dir=asked.config_dir)
    except ThunderError as error:
        if error.cause != "environment":  # else it is right, and an input is not here
            raise
    seen: list[Any] = []
    for config in requests.unbound(asked.words, config_dir=asked.config_dir):
        for name, why in sync_home.missing(config).items():
            if config[name] not in seen and asked.wants(name):
                seen.append(config[name])
                _bring_one_home(asked, config, name, why, say)


def _bring_one_home(asked: Asked, config: Mapping[str, Any], name: str, why: str, say: Say) -> None:
    """Bring one input home, or say of every machine what it lacks."""
    label, site = config[name].get("name", name), config["runtime"]["site"]
    faults = [f"{host.HERE}: {why}"]
    for one in host.of_site(site, _command(asked)).values():
        try:
            with connection.opened(one) as way:
                lacks = sync_home.lacks(way, config, name)
                if not lacks:
                    begun = f"{host.HERE}  {name} {label}"
                    say(f"home    {begun}: it comes from {one.name}; here: {why}")
                    with moving.shown(begun, say) as show:
                        sync_home.bring(way, config, name, show)
                    return
                faults.append(f"{one.name}: {'; '.join(lacks)}")
        except Faults:
            raise
        except ThunderError as error:
            faults.append(f"{one.name}: {error}")
    source = config[name]["source"]
    advice = (
        command.line("hf", "download", source["hub"], "--revision", source["commit"])
        if "hub" in source
        else "make it (thunder --help corpus), or name another folder"
    )
    raise Faults(f"{name} {label!r} is whole nowhere: {advice}", faults, "environment")
