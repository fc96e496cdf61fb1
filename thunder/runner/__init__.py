"""Plan and run: what comes first, what is skipped, resumed or executed, and how long it takes."""
