"""The other end of a host's pipe: sent there as text, and run by whatever Python it has.

The standard library of Python 3.9 and nothing else: no file of thunder's must lie there before.
"""
