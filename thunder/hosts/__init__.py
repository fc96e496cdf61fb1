"""The machines behind ssh: what each is and has, what is brought to it, and what runs there."""
