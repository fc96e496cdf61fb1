"""Files there that came beside their places, moved to them; nothing that lies there gives way."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter

from thunder.hosts.far.filesystem import placed, sha256
from thunder.hosts.far.refusal import Refused

_held: dict[str, int] = {}


def hold(lock: str, shared: bool = False) -> bool:
    """Take a lock that ends with this process at the latest; say whether it was free.

    Args:
        shared: whether others may take it so as well.
    """
    place = placed(lock)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        # Who held it before removed it: what was locked may have no name any more.
        if os.path.samestat(os.stat(place), os.fstat(descriptor)):
            _held[place] = descriptor
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return False


def let_go(lock: str) -> None:
    """Give a lock back that was taken, and remove its file unless others have it as well."""
    place = placed(lock)
    descriptor = _held.pop(place)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.remove(place)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def land(source: str, target: str, moves: list[list[str]], replaces: bool = False) -> None:
    """Move files of a folder to their places in another one, and remove what is left of the first.

    A folder that is not there yet appears whole, where its files keep their names.

    Args:
        moves: the name of each file in the first folder, and in the second; one that is wanted
            under two names is copied.
        replaces: whether what lies in a place gives way.

    Raises:
        Refused: a place is taken; nothing was moved.
    """
    beside, place = placed(source), placed(target)
    taken = [to for _, to in moves if os.path.lexists(os.path.join(place, to))]
    if taken and not replaces:
        raise Refused(f"{place}/{taken[0]}: is there already")
    if all(name == to for name, to in moves):
        names = [name for name, _ in moves]
        _keep(beside, {*names})
        moves = [[part, part] for part in _wholes(beside, place, names)]
    wanted = Counter(name for name, _ in moves)
    for name, to in moves:
        path = os.path.normpath(os.path.join(place, to))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        wanted[name] -= 1
        whole = os.path.normpath(os.path.join(beside, name))
        (shutil.copyfile if wanted[name] else os.rename)(whole, path)
    if os.path.lexists(beside):
        shutil.rmtree(beside)


def link(folder: str, links: dict[str, str]) -> None:
    """Make links in a folder; one that is there already, to the same, is as it shall be."""
    for name, to in links.items():
        path = os.path.join(placed(folder), name)
        if os.path.islink(path) and os.readlink(path) == to:
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(to, path)


def arrived(folder: str, names: list[str]) -> int:
    """Return the bytes of all files in a folder, also of those that are on their way to it.

    Args:
        names: what it will have; those that are there are hashed, so that it is done at the end.
    """
    place = placed(folder)
    for name in names:
        if os.path.isfile(os.path.join(place, name)):
            sha256(os.path.join(place, name))
    return size(place)


def size(folder: str) -> int:
    """Return the bytes of all files in a folder."""
    found = 0
    for root, _, names in os.walk(placed(folder)):
        for name in names:
            try:
                found += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:  # renamed since
                continue
    return found


def room(folder: str) -> int:
    """Return the bytes that are free where a folder is, or will be."""
    place = placed(folder)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return shutil.disk_usage(place).free


def _wholes(folder: str, place: str, names: list[str]) -> list[str]:
    """Return what is moved at once: the highest folder that is new, or a file; folders first.

    What lies beside a folder may speak of it.
    """
    if not os.path.lexists(place):
        return [""]
    parts = dict.fromkeys(_highest_new(place, name) for name in names)
    return sorted(parts, key=lambda part: not os.path.isdir(os.path.join(folder, part)))


def _highest_new(place: str, name: str) -> str:
    steps = name.split("/")
    above = ("/".join(steps[:end]) for end in range(1, len(steps)))
    return next((one for one in above if not os.path.lexists(os.path.join(place, one))), name)


def _keep(folder: str, names: set[str]) -> None:
    """Remove what else is in a folder: what an earlier transfer of other files left."""
    for root, folders, files in os.walk(folder, topdown=False):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in [*files, *links]:
            path = os.path.join(root, name)
            if os.path.relpath(path, folder) not in names:
                os.remove(path)
        if not os.listdir(root) and root != folder:
            os.rmdir(root)
