"""What ships, and its fingerprints."""

import hashlib
import json
from pathlib import Path

import pytest

from models import weights


def test_nothing_is_bundled_without_a_manifest(tmp_path: Path) -> None:
    assert weights.bundled("detector", tmp_path) is None


@pytest.mark.parametrize(("role", "file"), [("detector", "people.onnx"), ("reid", None)])
def test_the_manifest_says_what_is_bundled(tmp_path: Path, role: str, file: str | None) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"detector": {"file": "people.onnx"}}), encoding="utf-8")
    assert weights.bundled(role, tmp_path) == (tmp_path / file if file else None)


@pytest.mark.parametrize("role", ["detector", "reid"])
def test_what_the_repository_bundles_is_what_its_manifest_says(role: str) -> None:
    path = weights.bundled(role)
    if path is None:
        pytest.skip(f"no {role} weights are bundled")
    manifest = json.loads((weights.FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert weights.sha256(path) == manifest[role]["sha256"]


@pytest.mark.parametrize("n_bytes", [0, 3, (1 << 20) + 5])
def test_the_fingerprint_of_a_file_is_its_sha256(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * n_bytes)
    assert weights.sha256(path) == hashlib.sha256(b"x" * n_bytes).hexdigest()


def test_the_fingerprint_of_a_folder_is_that_of_its_names_and_contents(tmp_path: Path) -> None:
    def fingerprint(folder: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return weights.sha256(tmp_path / folder)

    one = fingerprint("one", {"model.xml": "a", "sub/model.bin": "b"})
    assert one == fingerprint("in another order", {"sub/model.bin": "b", "model.xml": "a"})
    assert one == hashlib.sha256(b"model.xmlasub/model.binb").hexdigest()
    many = {f"{n}.bin": n for n in "hbfcgeda"}
    assert fingerprint("many", many) == fingerprint("many in another order", dict(sorted(many.items())))
    assert weights.sha256(tmp_path / "many") == hashlib.sha256(b"".join(f"{n}.bin{n}".encode() for n in "abcdefgh")).hexdigest()
    others = [{"model.xml": "a", "sub/model.bin": "c"}, {"other.xml": "a", "sub/model.bin": "b"}, {"model.xml": "a"}]
    assert len({one, *(fingerprint(f"other {i}", files) for i, files in enumerate(others))}) == 4
