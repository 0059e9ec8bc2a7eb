#!/usr/bin/env python3
"""The command `people-tracker`, run from the checkout without installing it."""

import sys


def main() -> int:
    """Run the command; Ctrl-C while it is still being imported ends it in one line, too."""
    try:
        from pipeline.cli import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
