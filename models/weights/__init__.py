"""The weights that ship. `manifest.json` beside this file lists them: role -> file, sha256, licence, training, accuracy."""

import hashlib
import json
from pathlib import Path

FOLDER = Path(__file__).parent


def bundled(role: str, folder: Path = FOLDER) -> Path | None:
    """Path of the weights bundled for `role` ("detector" or "reid"), or None when none ship."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return None
    entry = json.loads(manifest.read_text(encoding="utf-8")).get(role)
    return folder / entry["file"] if entry else None


def sha256(path: Path) -> str:
    """Hex digest of a file, or of the names and contents of the files below a folder."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
