"""Rows through a model's chat template; what fails is named: the file, its line and the row."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.adapter.model import tokenizer as tokenizers

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
            rendered = tokenizer.apply_chat_template(
                talk, tokenize=False, add_generation_prompt=generation
            )
        except Exception as error:  # of Jinja, and of whatever the template computes
            fault = _fault(f"{split}.jsonl:{line}", Path(tokenizer.name_or_path), error)
            raise ThunderError(fault, "model") from error
        written.append(str(rendered))
    return written


def _fault(row: str, folder: Path, error: Exception) -> str:
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return f"{_place(folder, error.lineno)}: not a template: {first_line(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == _CODE), None)
    why = str(error) if line is None else f"{type(error).__name__}: {first_line(error)}"
    return f"{_place(folder, line)}: the chat template refuses {row}: {why}"


def _place(folder: Path, line: int | None) -> str:
    own = folder / tokenizers.TEMPLATE
    if own.is_file():
        return str(own) if line is None else f"{own}:{line}"
    return f"{folder / tokenizers.CONFIG}: chat_template" + (
        "" if line is None else f", its line {line}"
    )
