"""A pipe to the agent of a host: questions and answers, each within a deadline."""

import contextlib
import json
import shlex
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError
from thunder.hosts import process, ssh
from thunder.hosts.host import Host

OPEN_SECONDS = 45.0  # ssh's own deadline, and a Python that starts on a slow machine
CALL_SECONDS = 30.0
_ALIVE_SECONDS = 5.0
_END_SECONDS = 3.0
# Read by whatever shell and Python the host has; the modules follow on standard input. The line
# that is printed first ends what a shell said before it.
_BOOT = (
    "import sys,json,types\n"
    "if sys.version_info<(3,9):sys.exit('Python %d.%d is too old'%sys.version_info[:2])\n"
    "print(flush=True)\n"
    "try:sent=json.loads(sys.stdin.buffer.readline())\n"
    "except ValueError:sys.exit('what is sent comes broken: does its shell read its input?')\n"
    "for n,s in sent:\n"
    " m=sys.modules[n]=types.ModuleType(n);m.__path__=[]\n"
    " exec(compile(s,n,'exec'),m.__dict__)\n"
    " p,_,c=n.rpartition('.');p and setattr(sys.modules[p],c,m)\n"
    "m.serve()"
)
_PARENTS = ("thunder", "thunder.hosts", "thunder.hosts.far")
_MODULES = (
    "refusal", "machine", "filesystem", "landing", "slots", "processes", "discarding", "link",
    "environments", "agent",
)  # fmt: skip
_reached: set[str] = set()  # by this process, by what ssh is told


class Lost(ThunderError):
    """The way to a host is gone; what runs there detached may go on.

    Args:
        is_settled: whether a person has to see to it: waiting helps nothing.
    """

    def __init__(self, message: str, *, is_settled: bool = False) -> None:
        super().__init__(message, "environment")
        self.is_settled = is_settled


class Connection:
    """An open pipe to a host, which ssh shares with the commands that go by it.

    Args:
        python: the version of the Python there.
        noise: the lines that a shell there printed before the agent spoke.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.python = ""
        self.noise: list[str] = []
        self._asked: dict[int, Future[Any]] = {0: Future()}
        self._last = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._lost: Lost | None = None
        self._said: list[bytes] = []
        # One line: csh ends a quoted word with it.
        words = f"{_shell_path(host.python)} -u -c {shlex.quote(f'exec({_BOOT!r})')}"
        self._socket = ssh.socket()
        self._process = process.start(
            [*ssh.transport(host, self._socket, is_opening=True), host.ssh, words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._refusals, self._answers, alive = (
            threading.Thread(target=work, daemon=True)
            for work in (self._read_refusals, self._read_answers, self._stay_alive)
        )
        for thread in (self._refusals, self._answers, alive):
            thread.start()

    def call(self, op: str, *, within: float = CALL_SECONDS, **arguments: Any) -> Any:
        """Return what the agent answers to a question.

        Args:
            within: seconds for the answer, its way included.

        Raises:
            Lost: the way there is gone, or the answer did not come in time.
            ThunderError: the host refuses, with its reason.
        """
        with self._lock:
            if self._lost:
                raise self._lost
            self._last += 1
            number = self._last
            answer = self._asked[number] = Future()
        self._send(json.dumps({"id": number, "op": op, **arguments}))
        return self._awaited(number, answer, within, op)

    @property
    def transport(self) -> list[str]:
        """The ssh that goes by this pipe: what rsync is told to use."""
        return ssh.transport(self.host, self._socket)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command line that runs words on the host, as one shell there reads them."""
        return [*self.transport, self.host.ssh, shlex.join(words)]

    @property
    def is_lost(self) -> bool:
        """Whether the pipe is closed at its other end."""
        return self._lost is not None

    def close(self) -> None:
        """End the pipe; the agent ends with it."""
        self._closed.set()
        process.end([self._process], _END_SECONDS)
        self._answers.join(2 * _END_SECONDS)
        self._socket.unlink(missing_ok=True)  # of an ssh that had to be killed
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()  # type: ignore[union-attr]

    def greet(self) -> None:
        """Send the agent, and wait until it answers.

        Raises:
            ThunderError: the host cannot be reached, has no Python that is new enough, or a shell
                that no file can be brought through.
        """
        self._send(json.dumps(_sources()))
        self.python = self._awaited(0, self._asked[0], OPEN_SECONDS, "hello")
        _reached.add(self.host.ssh)
        if self.noise:
            raise Lost(
                f"host {self.host.name} ({self.host.ssh}): its shell prints {self.noise[0]!r} "
                "before each command, which rsync takes for its own: have what it reads there "
                "(.bashrc, .zshenv, config.fish) print in a terminal only",
                is_settled=True,
            )

    def _awaited(self, number: int, answer: "Future[Any]", within: float, op: str) -> Any:
        try:
            return answer.result(within)
        except NoAnswer:
            name = f"host {self.host.name} ({self.host.ssh})"
            said = f"; it printed {self.noise[0]!r}" if self.noise else ""
            raise Lost(f"{name}: no answer to {op} within {within:g} s{said}") from None
        finally:
            self._asked.pop(number, None)

    def _send(self, line: str) -> None:
        data = (line + "\n").encode()
        with contextlib.suppress(BrokenPipeError, ValueError), self._lock:  # its end is told below
            self._process.stdin.write(data)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def _read_answers(self) -> None:
        for line in self._process.stdout or ():
            try:
                answer = json.loads(line)
                waiting = self._asked[answer["id"]]
                value = None if "error" in answer else answer["value"]
            except (ValueError, KeyError, TypeError):  # said by a shell on the way
                self._said.append(line)
                if 0 in self._asked:
                    self.noise += filter(None, [line.decode(errors="replace").strip()])
                continue
            if "error" in answer:
                text = f"host {self.host.name} ({self.host.ssh}): {answer['error']}"
                waiting.set_exception(ThunderError(text, answer["cause"]))
            else:
                waiting.set_result(value)
        self._end()

    def _end(self) -> None:
        code = process.wait(self._process, _END_SECONDS) or 0
        self._refusals.join(_END_SECONDS)
        said = b"".join(self._said).decode(errors="replace")
        with self._lock:
            was_reached = self.host.ssh in _reached
            refusal = str(ssh.refusal(self.host, said, code, was_reached=was_reached))
            is_settled = ssh.is_settled(said, code, was_reached=was_reached)
            self._lost = Lost(refusal, is_settled=is_settled)
            waiting = [*self._asked.values()]
        self._closed.set()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(self._lost)

    def _read_refusals(self) -> None:
        self._said += self._process.stderr or ()

    def _stay_alive(self) -> None:
        while not self._closed.wait(_ALIVE_SECONDS):
            self._send("")


@contextlib.contextmanager
def opened(host: Host) -> Iterator[Connection]:
    """Yield a connection to a host, and close it.

    Raises:
        ThunderError: the host cannot be reached, or has no Python that is new enough.
    """
    connection = Connection(host)
    try:
        connection.greet()
        yield connection
    finally:
        connection.close()


def _sources() -> list[tuple[str, str]]:
    folder = Path(__file__).parent / "far"
    modules = [
        (f"{_PARENTS[-1]}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8"))
        for name in _MODULES
    ]
    return [*((name, "") for name in _PARENTS), *modules]


def _shell_path(path: str) -> str:
    """Return a path as every shell reads it, with the home of whose machine it is."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
