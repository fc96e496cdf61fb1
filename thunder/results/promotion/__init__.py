"""What may be claimed of runs, with everything that it rests on; refused where it rests on sand."""

from thunder.results.promotion.markdown import render as render_markdown
from thunder.results.promotion.record import of_matrix, of_run, write

__all__ = ["of_matrix", "of_run", "render_markdown", "write"]
