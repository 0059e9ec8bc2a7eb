"""Weights: those that ship (`weights.json` beside this file lists them) and public ones that can be
fetched (`public.json`).

`python -m models.weights verify|list|add|get` looks after both. Nothing is opened whose checksum is
not the one written down.
"""

from models.weights.checksums import sha256
from models.weights.public import find
from models.weights.shipped import FOLDER, bundled

__all__ = ["FOLDER", "bundled", "find", "sha256"]
