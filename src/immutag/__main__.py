"""`python -m immutag`: the command line, also from sources that are not installed."""

import sys

from immutag.cli import main

if __name__ == "__main__":
    sys.exit(main())
