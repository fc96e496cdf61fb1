"""Rows through a model's chat template; what fails is named: the file, its line and the row."""

import contextlib
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.adapter.model.tokenizer import place_of_template

ROW_SECONDS = 10.0  # of computing; any template needs a thousandth of that
_CODE = "<template>"  # what Jinja calls a template in a traceback


def texts(
    split: str,
    talks: Mapping[int, Sequence[Mapping[str, str]]],
    tokenizer: Any,
    *,
    generation: bool,
) -> list[str]:
    """Return what the template makes of each talk.

    Args:
        talks: by the line of the split's file that each stands on.
        generation: whether the beginning of an answer is written at the end.
    """
    written = []
    for line, talk in talks.items():
        try:
            with _bounded(ROW_SECONDS):
                rendered = tokenizer.apply_chat_template(
                    talk, tokenize=False, add_generation_prompt=generation
                )
        except ThunderError:  # somebody stopped the run
            raise
        except Exception as error:  # of Jinja, and of whatever the template computes
            fault = _fault(f"{split}.jsonl:{line}", Path(tokenizer.name_or_path), error)
            raise ThunderError(fault, "model") from error
        written.append(str(rendered))
    return written


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that computes longer; signals reach the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_: object) -> None:
        raise TimeoutError(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _fault(row: str, folder: Path, error: Exception) -> str:
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return f"{place_of_template(folder, error.lineno)}: not a template: {first_line(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == _CODE), None)
    why = str(error) if line is None else f"{type(error).__name__}: {first_line(error)}"
    return f"{place_of_template(folder, line)}: the chat template refuses {row}: {why}"
