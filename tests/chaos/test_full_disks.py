"""Disks that fill up at any size: the cause is said with its place, and room mends everything."""

import re
import subprocess
from pathlib import Path

import pytest
import running
import soundfile
from asr_fixtures import RATE, noise
from chaos import TASK, Chaos

from thunder.ground import folders

pytestmark = pytest.mark.slow

FULL = "No space left on device"
MATRIX = """\
profile: own_three
axes:
  seed: [0, 1, 2]
table:
  over: seed
  metrics: [value]
"""
STANDINS = [
    "+profile=smoke", "train.steps=2", "adapter.layers=2", "model.source.hidden=32",
    "model.source.layers=2", "data.source.rows=80", "train.valid_rows=8", "train.ranks=1",
    "train.rank_weights=[1]",
]  # fmt: skip


def on_disk(kib: int, disk: Path, *words: str, is_mended: bool = True) -> tuple[str, str, str]:
    """Run on a disk of a size, then on the same one with room.

    Args:
        is_mended: whether there is a second run.

    Returns:
        what the first run said, what the second said, what verifying said.
    """
    command = " ".join(f"'{word}'" for word in (*words, f"outputs={disk}"))
    again = f"""
        mount -o remount,size=512m '{disk}'
        "$PYTHON" -m thunder {command} 2>&1; echo "code $?"; echo ------
        "$PYTHON" -c '{TASK}' verify --outputs '{disk}' 2>&1; echo "code $?"
    """
    done = running.in_namespace(
        f"""
        mount -t tmpfs -o size={kib}k tmpfs '{disk}'
        "$PYTHON" -m thunder {command} 2>&1; echo "code $?"; echo ------
        {again if is_mended else "echo ------"}
        """,
        folder=disk,
    )
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    first, second, verified = done.stdout.split("------\n")
    return first, second, verified


def assert_said(first: str, disk: Path) -> bool:
    """Say whether the disk was too small; then cause and place were told."""
    if first.endswith("code 0\n"):
        return False
    assert first.endswith("code 1\n"), first
    place = rf"{re.escape(str(disk))}/?[^\s:]*"
    causes = set(re.findall(r"cause +(\w+)", first))
    if re.search(rf"free disk \(localhost\): {place} needs [\d.]+ MB free; make room", first):
        assert causes == {"environment"}  # the preflight foresaw it
        return True
    assert re.search(f"{place}: ({FULL}|could not be written)", first), first
    assert causes <= {"write"}, first
    return True


def test_runs_on_a_disk_that_is_too_small_say_so_and_are_done_with_room(
    chaos: Chaos, tmp_path: Path
) -> None:
    words = ["-m", "+profile=dry", "seed=1,2", "jobs=2"]
    refused = 0
    for kib in chaos.sample(range(4, 88, 4), short=3):
        first, second, verified = on_disk(kib, tmp_path, *words)
        refused += assert_said(first, tmp_path)
        assert second.endswith("code 0\n"), second
        assert "2 of 2 runs proven" in verified
        chaos.tally["full disks"] += 1
    assert refused


def test_stand_ins_that_find_no_room_say_where_and_are_built_with_room(
    chaos: Chaos, tmp_path: Path
) -> None:
    sizes = [16, 48, 100, 160, 240, 320, 400, 520, 640, 800]
    for kib in sizes if chaos.is_long else [100]:  # too few for the model
        first, second, verified = on_disk(kib, tmp_path, *STANDINS, is_mended=chaos.is_long)
        assert assert_said(first, tmp_path)
        if chaos.is_long:
            assert second.endswith("code 0\n"), second
            assert "1 of 1 run proven" in verified
        chaos.tally["full disks"] += 1


def test_speech_that_finds_no_room_says_where(chaos: Chaos, tmp_path: Path) -> None:
    for kib in chaos.sample([400, 1_000, 2_000, 4_000], short=1):
        first, _, _ = on_disk(kib, tmp_path, "+profile=asr_features", is_mended=False)
        assert assert_said(first, tmp_path)
        chaos.tally["full disks"] += 1


def of_three(folder: Path) -> tuple[list[str], list[str]]:
    """Make three runs; return the words of their matrix, and those of its table."""
    conf = str(running.write_matrix(folder, "three", MATRIX))
    outputs = folder / "outputs"
    words = ["--config-dir", conf, "matrix=three"]
    made = running.thunder(*words, f"outputs={outputs}")
    assert made.returncode == 0, made.stderr
    return words, ["table", "three", "--config-dir", conf]


def test_the_files_of_a_table_appear_together_or_not_at_all(chaos: Chaos, tmp_path: Path) -> None:
    _, question = of_three(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    asked = f"\"$PYTHON\" -c '{TASK}' {' '.join(question)} --outputs '{disk}' 2>&1"
    tables = disk / folders.TABLES
    seen = set()
    for pages in range(8) if chaos.is_long else (1, 7):
        done = running.in_namespace(
            f"""
            mount -t tmpfs -o size=16m tmpfs '{disk}'
            cp -r '{tmp_path}'/outputs/* '{disk}'
            used=$(df -k --output=used '{disk}' | tail -1)
            mount -o remount,size=$((used + {4 * pages}))k '{disk}'
            {asked}; echo "code $?"; echo =======
            ls '{tables}' 2>/dev/null; echo =======
            {asked} --check; echo "code $?"
            """,
            folder=disk,
        )
        assert done.stderr == ""
        assert "Traceback" not in done.stdout
        first, left, checked = done.stdout.split("=======\n")
        is_written = first.endswith("code 0\n")
        assert is_written or (first.endswith("code 1\n") and f"{disk}/" in first and FULL in first)
        assert len(left.split()) == (3 if is_written else 0), left
        assert checked.endswith("code 0\n" if is_written else "code 1\n"), checked
        seen.add(is_written)
        chaos.tally["full disks"] += 1
    assert seen == {True, False}


def test_a_full_disk_is_no_fault_when_all_is_reached(chaos: Chaos, tmp_path: Path) -> None:
    words, _ = of_three(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"\"$PYTHON\" -m thunder {' '.join(words)} outputs='{disk}' 2>&1"
    done: subprocess.CompletedProcess[str] = running.in_namespace(
        f"""
        mount -t tmpfs -o size=1m tmpfs '{disk}'
        cp -r '{tmp_path}'/outputs/* '{disk}'
        head -c 2000000 /dev/zero >'{disk}/big' 2>/dev/null
        {command}; echo "code $?"
        """,
        folder=disk,
    )
    assert done.stdout.endswith("code 0\n"), done.stdout
    assert "Traceback" not in done.stdout
    chaos.tally["full disks"] += 1


def test_an_import_that_finds_no_room_says_where_and_is_made_with_room(
    chaos: Chaos, tmp_path: Path
) -> None:
    sounds, disk = tmp_path / "sounds", tmp_path / "disk"
    for folder in (sounds, disk):
        folder.mkdir()
    names = "abcdefgh"
    for seed, name in enumerate(names):
        soundfile.write(sounds / f"{name}.wav", noise(0.5, seed), RATE)  # of 16 KB
    (tmp_path / "list.txt").write_text("".join(f"{name}: it is {name}\n" for name in names))
    words = f"corpus import-speech '{sounds}' '{tmp_path}/list.txt' '{disk}/data'"
    asked = f'"$PYTHON" -c \'{TASK}\' {words} 2>&1; echo "code $?"; echo ------'
    seen = set()
    for kib in chaos.sample([4, 8, 20, 60, 120, 136, 140, 144, 148, 512], short=4):
        done = running.in_namespace(
            f"""
            mount -t tmpfs -o size={kib}k tmpfs '{disk}'
            {asked}
            ls -A '{disk}'; echo ------
            mount -o remount,size=16m '{disk}'
            [ -e '{disk}/data' ] || {asked}
            ls -A '{disk}'; wc -l <'{disk}/data/pairs.jsonl'
            """,
            folder=disk,
        )
        assert done.stderr == ""
        assert "Traceback" not in done.stdout
        first, left, *again, last = done.stdout.split("------\n")
        is_made = first.endswith("code 0\n")
        if not is_made:
            said, _ = first.splitlines()  # cause and place in one line, and the code
            assert re.fullmatch(rf"thunder: {re.escape(str(disk))}/\S+: {FULL}", said), first
            assert again[0].endswith("code 0\n"), again
        assert left.split() == (["data"] if is_made else []), left
        assert last.split() == ["data", str(len(names))]
        seen.add(is_made)
        chaos.tally["full disks"] += 1
    assert seen == {True, False}
