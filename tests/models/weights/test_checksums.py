"""Fingerprints of files, folders and pairs of files."""

import hashlib
import os
from pathlib import Path

import pytest

from models import weights
from models.weights import checksums


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
    assert fingerprint("many", many) == fingerprint(
        "many in another order", dict(sorted(many.items()))
    )
    assert (
        weights.sha256(tmp_path / "many")
        == hashlib.sha256(b"".join(f"{n}.bin{n}".encode() for n in "abcdefgh")).hexdigest()
    )
    others = [
        {"model.xml": "a", "sub/model.bin": "c"},
        {"other.xml": "a", "sub/model.bin": "b"},
        {"model.xml": "a"},
    ]
    assert len({one, *(fingerprint(f"other {i}", files) for i, files in enumerate(others))}) == 4


def test_the_fingerprint_of_an_openvino_network_covers_the_weights_beside_it(
    tmp_path: Path,
) -> None:
    graph = tmp_path / "model.xml"
    graph.write_bytes(b"graph")
    alone = weights.sha256(graph)
    assert alone == hashlib.sha256(b"graph").hexdigest()
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert weights.sha256(graph) == hashlib.sha256(b"model.xmlgraphmodel.binweights").hexdigest()
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert weights.sha256(tmp_path / "model.onnx") == alone


@pytest.mark.parametrize("algorithm", ["sha256", "sha384"])
def test_a_checksum_names_its_algorithm_and_is_the_same_in_memory_and_on_disk(
    tmp_path: Path, algorithm: str
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"some weights")
    expected = f"{algorithm}:{getattr(hashlib, algorithm)(b'some weights').hexdigest()}"
    assert (
        checksums.of_file(path, algorithm)
        == checksums.of_bytes(b"some weights", algorithm)
        == expected
    )


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    before = checksums._of_file.cache_info().misses
    first = [checksums.of_file(path, "sha256") for _ in range(3)]
    assert checksums._of_file.cache_info().misses == before + 1 and len(set(first)) == 1
    path.write_bytes(b"two")  # of the same size
    os.utime(path, ns=(0, 0))
    assert checksums.of_file(path, "sha256") == f"sha256:{hashlib.sha256(b'two').hexdigest()}"
