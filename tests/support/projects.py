"""A user's own folders, as tests need them."""

from dataclasses import dataclass
from pathlib import Path

from thunder.commands import requests
from thunder.config import sources
from thunder.config.sources import Sources

DRY = """\
# @package _global_
kind: dry
dry:
  value: 1
  sleep_seconds: 0
  fail: false
"""


@dataclass(frozen=True)
class Project:
    """A user's conf/, matrices/ and schemas/ beside an installed thunder."""

    root: Path

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    @property
    def places(self) -> Sources:
        return sources.sources(self.conf)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def profile(self, text: str | bytes, name: str = "mine") -> Path:
        return self.write(f"conf/profile/{name}.yaml", text)

    def matrix(self, text: str | bytes, name: str = "question") -> Path:
        return self.write(f"matrices/{name}.yaml", text)

    def read(self, *words: str, sweep: bool = False) -> requests.Request:
        return requests.read(words, config_dir=self.conf, sweep=sweep)
