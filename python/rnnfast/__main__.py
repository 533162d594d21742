"""`python -m rnnfast`: the same as the command `rnnfast`."""

from __future__ import annotations

import sys

from rnnfast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
