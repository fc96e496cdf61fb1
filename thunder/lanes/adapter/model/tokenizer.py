"""The tokenizer of a model folder; where it cannot be loaded, the file at fault is named."""

from pathlib import Path
from typing import Any

from thunder.ground import input_files
from thunder.ground.errors import ThunderError, first_line
from thunder.lanes.adapter.model import model_folder

FILE = "tokenizer.json"
TEMPLATE = "chat_template.jinja"
CONFIG = "tokenizer_config.json"  # has the template as a value where there is no such file
_OBJECTS = (
    FILE, CONFIG, "special_tokens_map.json", "added_tokens.json", input_files.CONFIG,
)  # fmt: skip


def load(folder: Path) -> Any:
    """Return the tokenizer of a folder, with its chat template.

    Raises:
        ThunderError: one of its files cannot be read, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # what is wrong in a file ends in any of Python's errors
        raise ThunderError(_culprit(folder, error), "model") from error
    if not tokenizer.chat_template:
        raise ThunderError(
            f"{folder}: the tokenizer has no chat template, as of a base model; put a "
            f"{TEMPLATE} into a copy of the folder: model=folder model.source.folder=COPY",
            "model",
        )
    if _default(tokenizer.chat_template).startswith("\ufeff"):
        raise ThunderError(
            f"{place_of_template(folder)}: begins with a byte order mark, which would stand in "
            "every prompt; save it as UTF-8 without one, of a hub model in a copy of the folder",
            "model",
        )
    return tokenizer


def place_of_template(folder: Path, line: int | None = None) -> str:
    """Return where the chat template of a folder stands."""
    own = folder / TEMPLATE
    if own.is_file():
        return str(own) if line is None else f"{own}:{line}"
    return f"{folder / CONFIG}: chat_template" + ("" if line is None else f", its line {line}")


def _default(templates: str | dict[str, str]) -> str:
    """Return the template that is used where a model has several, by name."""
    return templates if isinstance(templates, str) else templates.get("default", "")


def _culprit(folder: Path, error: Exception) -> str:
    for path in (folder / name for name in _OBJECTS if (folder / name).is_file()):
        if fault := _fault(path):
            return f"{path}: no usable tokenizer: {fault}"
    own = folder / TEMPLATE
    if isinstance(error, UnicodeDecodeError) and own.is_file():
        return f"{own}: not UTF-8: {first_line(error)}"
    return f"{folder}: no usable tokenizer: {error}"


def _fault(path: Path) -> str | None:
    """Return why a file cannot be what the tokenizer is made of."""
    from tokenizers import Tokenizer

    try:
        model_folder.read_object(path)
        if path.name == FILE:
            Tokenizer.from_file(str(path))
    except Exception as error:  # of the tokenizers' own library: a bare one
        return first_line(error)
    return None
