"""What a job does: one package per family of kinds, imported only when a job of it runs."""
