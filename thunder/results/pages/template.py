"""Templates filled in; what a page runs is named by digest in its policy."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup


def render(folder: Path, name: str, values: Mapping[str, Any]) -> str:
    """Return <name>.html.jinja filled in, with <name>.css and <name>.js inside it.

    Everything that is filled in is escaped. The page's policy (Content-Security-Policy) lets no
    script but <name>.js run, and lets nothing be fetched: pictures and sounds are inside the page.

    Args:
        folder: where the three lie.
    """
    style, script = (_read(folder / f"{name}.{ending}") for ending in ("css", "js"))
    script_sha256 = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        f"script-src 'sha256-{script_sha256}'"
    )
    page = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return _environment(folder).get_template(f"{name}.html.jinja").render({**values, "page": page})


def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    return environment


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _read(path: Path) -> str:
    # `</` would end the element that the text is put into.
    content = path.read_text(encoding="utf-8")
    if "</" in content:
        raise ValueError(f"{path.name}: has '</'")
    return content
