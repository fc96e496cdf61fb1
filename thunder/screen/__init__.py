"""What a person sees while runs go on: in a terminal, and in a log."""
