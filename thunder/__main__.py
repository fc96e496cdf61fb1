"""`python -m thunder`."""

import gc
import sys

from thunder.commands.main import main as main

_NEW_OBJECTS = 100_000

if __name__ == "__main__":
    # Cells stay until the end: to look for cycles among ten thousand took a tenth of a plan.
    gc.set_threshold(_NEW_OBJECTS)
    code = main()
    # Nor is anything looked for while Python leaves: that took an eighth of a short command.
    gc.freeze()
    sys.exit(code)
