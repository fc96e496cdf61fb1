"""`python -m thunder`."""

import sys

from thunder.commands.main import main as main

if __name__ == "__main__":
    sys.exit(main())
