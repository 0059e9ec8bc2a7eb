#!/usr/bin/env python3
"""The command `people-tracker`, run from the checkout without installing it."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
