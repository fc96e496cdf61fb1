"""Rows to train on, shared by lanes: noise put into sentences, and the folders that hold rows."""
