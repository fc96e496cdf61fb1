"""The README's transcript is of this code: the id in it is the id that the command gives.

It changes with the profile, the recipes behind the stand-ins, and the words of the pinned Babel.
"""

import re
from pathlib import Path

from thunder.commands import requests

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_id_in_the_readme_is_the_one_that_its_command_gives() -> None:
    (cell,) = requests.read(["+profile=partial_real_stage1_stable", "window=10"]).cells
    assert set(re.findall(r"adapter[/ ]([0-9a-f]{12})", README)) == {cell.job.id}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150
