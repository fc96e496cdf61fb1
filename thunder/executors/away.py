"""The process that owns a run on a host: detached, watching as a runner would.

It keeps what whoever comes to ask needs: the events, a manifest of what they speak of, and at the
end how it ended. Nobody needs to ask while it works.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thunder.executors import local, place
from thunder.executors.place import Ending, Order
from thunder.ground import files
from thunder.ground.errors import ThunderError, cause_of, message_of
from thunder.runs import listing, lock, provenance
from thunder.runs.run import Run

FOLDER = ".away"  # in the run folder there; in it one folder per claim
EVENTS, ENDING, STOP, RENEWED = "events.jsonl", "ending.json", "stop", "renewed"
LIST = "list"  # whoever asks writes it, and gets a manifest of what lies there now
LOG, HOLDER = "away.log", "holder.json"
# Files that an event speaks of must be in the manifest before it is told.
TELLS_OF_FILES = ("saved", "checkpoint", "valid")
_LOOK_SECONDS = 0.5
_RESERVE, _RESERVE_BYTES = "reserve", 1 << 16  # room for the last words on a disk that is full


class Work:
    """One attempt of a run on this machine.

    Args:
        unattended: seconds after which the run ends by itself when nobody asked.
    """

    def __init__(self, run: Run, own: Path, unattended: float) -> None:
        self.run, self.own, self.unattended = run, own, unattended
        self.stopping = place.Stop()
        self.expired = False
        self._asked, self._asked_at = time.time(), time.monotonic()  # by two clocks
        self.digests: listing.Digests = {}
        self._listing = threading.Lock()

    def tell(self, event: dict[str, Any]) -> None:
        """Add an event, after the manifest of the files that it speaks of; without one, say why."""
        if event["event"] in TELLS_OF_FILES:
            try:
                self.list()
            except ThunderError as error:  # they come home with a later one
                event = {"event": "warning", "text": f"{event['event']} not told: {error}"}
        files.append_jsonl(self.own / EVENTS, event)

    def list(self) -> None:
        """Write the manifest of what lies there now."""
        with self._listing:
            listing.write(self.run.folder, self.run.id, self.digests)

    def watch(self) -> None:
        """Hear what whoever asks wants, and end the run when nobody has asked for too long."""
        while True:
            time.sleep(_LOOK_SECONDS)
            for turn in (self._hear, self._list_if_asked):
                # Whatever befalls one, the next is taken: who is deaf can never be ended.
                try:
                    turn()
                except Exception as error:
                    _log(error)

    def _hear(self) -> None:
        try:
            latest = (self.own / RENEWED).stat().st_mtime
        except OSError:  # then nobody was heard
            latest = self._asked
        if latest != self._asked:
            self._asked, self._asked_at = latest, time.monotonic()
        # By both clocks: one stands still while the machine sleeps, the other can be set.
        silent = max(time.monotonic() - self._asked_at, time.time() - latest)
        self.expired = self.expired or silent > self.unattended
        if self.expired or os.path.lexists(self.own / STOP):
            self.stopping.set()

    def _list_if_asked(self) -> None:
        if (self.own / LIST).exists():
            try:
                self.list()
            finally:  # answered either way: who asked looks at what is listed
                (self.own / LIST).unlink(missing_ok=True)


def _log(error: Exception) -> None:
    with contextlib.suppress(OSError):  # on a disk that is full
        print(message_of(error), file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run the attempt of a claim, unless it was begun before, or given up.

    Args:
        arguments: the run folder, the owner that the claim names, and the lane function as
            `module:function`.
    """
    folder, owner, function = Path(arguments[0]), arguments[1], arguments[2]
    own = folder / FOLDER / owner
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with lock.owned(folder) as held:
            if (own / RENEWED).exists() and not (own / EVENTS).exists():
                _work(Run(folder), own, function, held)
    except lock.Busy as error:  # somebody began it at the same time
        print(error, file=sys.stderr)
    return 0


def _work(run: Run, own: Path, function: str, held: lock.Lock) -> None:
    files.write_json(own.parent / HOLDER, {"owner": own.name})
    (own / _RESERVE).write_bytes(os.urandom(_RESERVE_BYTES))
    runtime = run.record()["attempts"][-1]["runtime"]
    work = Work(run, own, runtime["unattended_seconds"])
    signal.signal(signal.SIGTERM, lambda *_: work.stopping.set())
    here = {"host": provenance.host(), "versions": provenance.versions()}
    work.tell({"event": "host", **here})
    threading.Thread(target=work.watch, daemon=True).start()
    silent = {"frozen_seconds": runtime["stall_seconds"], "hung_seconds": runtime["start_seconds"]}
    ending = _ending(work, Order(run.folder, function, held.descriptor, **silent))
    (own / _RESERVE).unlink(missing_ok=True)
    work.digests.clear()  # what proves the whole is read anew
    try:
        work.list()
    except (ThunderError, OSError) as error:
        ending = _unlisted(ending, error)
    files.write_json(own / ENDING, {**asdict(ending), "expired": work.expired})


def _ending(work: Work, order: Order) -> Ending:
    try:
        return place.execute(local, order, work.stopping, work.tell)
    except Exception as error:  # whatever befell it, whoever asks hears of it
        return _failed(error)


def _unlisted(ending: Ending, error: Exception) -> Ending:
    """Return the ending of a run whose files cannot be listed: it cannot come home whole."""
    if ending.error is None:
        return _failed(error)
    told = f"{ending.error['message']}\nand its files cannot be listed: {message_of(error)}"
    return Ending(None, {**ending.error, "message": told})


def _failed(error: Exception) -> Ending:
    fault = {"message": message_of(error), "cause": cause_of(error), "last_lines": []}
    return Ending(None, fault)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
