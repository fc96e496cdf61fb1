"""What ASR runs show when they are done: tables, plots, pages."""
