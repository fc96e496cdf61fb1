"""What Hydra and YAML find wrong with the files of conf/, in words and with its place."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from thunder.config import origin
from thunder.config.sources import Sources
from thunder.ground.errors import ThunderError
from thunder.ground.wording import nearest


def no_option(group: str, option: str, places: Sources) -> str:
    """Return the message for a choice that does not exist, group or option."""
    if group not in places.groups:
        groups = list(places.groups)
        return f"{group!r} is not a group{nearest(group, groups)}; groups: {', '.join(groups)}"
    have = places.groups[group]
    choices = ", ".join(have)
    return f"no {group} {option!r}{nearest(option, have)}; conf/{group}/ has {choices}"


def hydra_fault(error: Exception, choices: Mapping[str, str], places: Sources) -> str:
    """Return one of Hydra's errors in a person's words, with its place."""
    report = f"{error}\n{error.__cause__ or ''}\n{type(error).__name__}"
    first_line = next(line for line in report.splitlines() if line.strip())
    if not_chosen := re.search(r"Could not override '([^']+)'", first_line):
        group = not_chosen[1]
        place = chosen_at(group, choices.get(group, ""), choices, places)
        if group not in places.groups:
            return place + no_option(group, "", places)
        return (
            f"{place}this profile chooses no {group}; leave {group} out, "
            f"or add `- /{group}: NAME` to its defaults"
        )
    return f"{profile_place(choices, places)}{first_line}"


def profile_place(choices: Mapping[str, str], places: Sources) -> str:
    """Return `file: ` of the chosen profile, or nothing."""
    profile = choices.get("profile")
    return f"{origin.shown(places.find(f'profile/{profile}'))}: " if profile else ""


def chosen_at(group: str, option: str, choices: Mapping[str, str], places: Sources) -> str:
    """Return `file:line: ` of the choice in a defaults list, or nothing."""
    local, profile = places.local_file(), places.find(f"profile/{choices.get('profile')}")
    for path, own in ((profile, "profile"), (local, ""), (places.find("config"), "")):
        if path is None or not path.is_file():
            continue
        for number, chosen in _choices_in(path, own):
            if chosen == (group, option) or (not option and chosen[0] == group):
                return f"{origin.shown(path)}:{number}: "
    return ""


def _choices_in(path: Path, own: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield what a file chooses, group and option, with its line.

    Args:
        own: the group that the file is an option of; names in its list are relative to it.
    """
    with contextlib.suppress(ThunderError):  # told elsewhere
        for key, line, value in origin.lines(path):
            if len(key) == 1 and value is not None:  # conf/local.yaml has choices as plain keys
                yield line, (str(key[0]), value)
            elif key[0] == "defaults" and value is not None:
                words = str(key[2]).split()[-1] if len(key) > 2 else ""
                name = f"{words.partition('@')[0]}/{value}" if words else str(value)
                full = name[1:] if name.startswith("/") else f"{own}/{name}".lstrip("/")
                group, _, option = full.rpartition("/")
                yield line, (group, option)
