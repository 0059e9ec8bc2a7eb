"""Version of the program, written here and nowhere else: packaging reads it from this file."""

import subprocess
from pathlib import Path

VERSION = "0.1.0"


def git_hash() -> str:
    """Commit of the checkout that this file belongs to.

    Returns:
        40 hex digits; "" where the program is installed, also inside another project's checkout.
    """
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    top, commit = done.stdout.splitlines()
    return commit if Path(top).resolve() == root else ""
