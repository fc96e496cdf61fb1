"""The file of an adapter run that others than this lane know of, by its name."""

REPORT = "report.md"  # for a person; beside it, as .json, the same for a program
