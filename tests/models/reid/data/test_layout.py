"""Names in order, and MATLAB files of all kinds."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from models.errors import InputError
from models.reid.data import layout


def test_values_of_any_width_become_whole_numbers_that_do_not_wrap() -> None:
    values = layout.whole_numbers(np.array([1, 3], np.uint16), 1, 3, "x")
    assert (values - 2).tolist() == [-1, 1]


@pytest.mark.parametrize("values", [[0, 1], [1, 4], [1.5], [np.nan], [np.inf], [], ["a"]])
def test_values_that_are_no_index_are_refused(values: list[object]) -> None:
    with pytest.raises(InputError, match="x: must hold whole numbers from 1 to 3"):
        layout.whole_numbers(np.array(values), 1, 3, "x")


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\x89HDF\r\n\x1a\n" + bytes(200)]
)
def test_a_file_that_is_not_matlabs_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "query_IDX.mat"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"query_IDX\.mat: is no MATLAB file") as caught:
        layout.matrices(file, "query_IDX")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_cut_short_anywhere_is_refused(compressed: bool, tmp_path: Path) -> None:
    file = tmp_path / "x.mat"
    savemat(file, {"x": np.arange(300)}, do_compression=compressed)
    whole = file.read_bytes()
    for end in range(1, len(whole) - 8, 11):
        file.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"x\.mat: (is no MATLAB file|has no matrix x)"):
            layout.matrices(file, "x")


def test_a_missing_matrix_and_a_missing_list_are_named(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"y": np.arange(3)})
    with pytest.raises(InputError, match=r"x\.mat: has no matrix x"):
        layout.matrices(tmp_path / "x.mat", "x")
    with pytest.raises(InputError, match=r"names\.txt: cannot be read"):
        layout.text_lines(tmp_path / "names.txt")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: cannot be listed"):
        layout.images(tmp_path / "nowhere")


def test_the_most_complete_candidate_is_the_one_that_lacks_something(tmp_path: Path) -> None:
    for name in ("train", "set/train", "set/query"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"set: lacks gallery: the data set is not complete"):
        layout.locate(tmp_path, ["set"], ["train", "query", "gallery"])
