"""Where a run happens: one module per place."""
