"""Files of the cache appear whole, also when two processes write them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models.runtimes import cache


def test_of_two_that_write_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "choice.json"
    cache.write_first(path, b'{"a": 1}')
    cache.write_first(path, b'{"a": 2}')
    assert cache.read_json(path) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


def test_many_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    contents = [bytes([i]) * 1_000_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda data: cache.write(path, data), contents)) == {""}
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cache.write(tmp_path / "file" / "network.onnx", b"") != ""


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1")
    assert cache.read_json(tmp_path / "a.json") is None
    assert cache.read_json(tmp_path / "missing.json") is None
