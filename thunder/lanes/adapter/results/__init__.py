"""What adapter runs show when they are done."""
