"""The tables and plots of a matched ASR bundle: one document from its runs, rendered in files."""

from thunder.lanes.asr.results.bundle.brief import render as render_brief
from thunder.lanes.asr.results.bundle.document import build as build
from thunder.lanes.asr.results.bundle.document import is_bundle as is_bundle
from thunder.lanes.asr.results.bundle.markdown import render as render_markdown
from thunder.lanes.asr.results.bundle.rendering import stale as stale
from thunder.lanes.asr.results.bundle.rendering import write as write

__all__ = ["build", "is_bundle", "render_brief", "render_markdown", "stale", "write"]
