"""Correction corpora: sentences, the noise put into them, and the folders that hold rows."""
