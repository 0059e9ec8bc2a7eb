from pathlib import Path

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.detector import data, evaluate
from models.errors import InputError
from tests.models.detector.pictures import folder, picture


def video(path: Path, n_frames: int) -> Path:
    """Frames of 64x48 whose brightness is ten times their index."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(n_frames):
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(
                        np.full((48, 64, 3), 10 * i, np.uint8), format="bgr24"
                    )
                )
            )
        container.mux(stream.encode())
    return path


def test_the_last_fifth_by_name_is_held_back(tmp_path: Path) -> None:
    path = folder(tmp_path, 11)
    names = {
        part: [file.stem for file in data.image_files(path, part)]
        for part in ("train", "held_back", "all")
    }
    assert names["held_back"] == ["008", "009", "010"]
    assert names["train"] + names["held_back"] == names["all"] == [f"{i:03d}" for i in range(11)]


def test_labels_come_back_in_pixels_and_a_missing_file_means_nobody(tmp_path: Path) -> None:
    *pictures, empty = data.labelled(folder(tmp_path, 4))
    for i, found in enumerate(pictures):
        assert_allclose(found.truth, picture(i)[1], atol=1e-3)
        assert found.image.shape == (96, 128, 3)
        assert found.ignored.shape == (0, 4)
    assert empty.truth.shape == (0, 4)


def test_labels_are_clipped_to_the_image(tmp_path: Path) -> None:
    data.write_labels(tmp_path / "a.txt", np.array([[-10.0, 5, 20, 300]]), 100, 200)
    assert_allclose(data.read_labels(tmp_path / "a.txt", 100, 200), [[0, 5, 20, 200]], atol=1e-3)


@pytest.mark.parametrize(
    "text", ["0 0.5 0.5 0.1", "person 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1 0.1\n0 0.5\n"]
)
def test_a_bad_label_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{path}: expected lines"):
        data.read_labels(path, 10, 10)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 120 80 20 40\n", "are shares of the image, 0..1, but 120 was found; divide .* 200 and"),
        ("0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1\n", "class 2 was found, but people are class 0"),
    ],
)
def test_labels_in_pixels_or_of_other_classes_are_an_error(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{path}: .*{reason}.*$"):
        data.read_labels(path, 200, 100)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0,1,10,5,20,30,1,1,0.9\n", "frame 0 was found; add 1 to column 1"),
        ("1,1,10,5,20,30,1,2,0.9\n", r"no row has flag 1 and class 1, .*there are classes 2$"),
    ],
)
def test_truth_that_means_something_else_is_an_error(
    tmp_path: Path, text: str, reason: str
) -> None:
    truth = tmp_path / "gt.txt"
    truth.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{truth}: .*{reason}.*$"):
        next(data.clip(video(tmp_path / "a.mp4", 2), truth, every=1))


def test_cars_are_nobody_and_distractors_are_ignored(tmp_path: Path) -> None:
    truth = tmp_path / "gt.txt"
    rows = [(1, 10, 1), (2, 20, 3), (3, 30, 7)]
    truth.write_text("".join(f"1,{i},{x},5,9,30,1,{kind},1\n" for i, x, kind in rows))
    (found,) = data.clip(video(tmp_path / "a.mp4", 2), truth, every=2)
    assert found.truth[:, 0].tolist() == [10]
    assert found.ignored[:, 0].tolist() == [30]


def test_people_who_are_hardly_seen_are_ignored_and_unlabelled_frames_are_left_out(
    tmp_path: Path,
) -> None:
    truth = tmp_path / "gt.txt"
    truth.write_text(
        "3,1,10,5,20,30,1,1,0.9\n5,1,11,5,20,30,1,1,0.3\n5,2,1,2,3,4,1,1,-1\n9,1,1,1,4,4,1,1,1\n",
        encoding="utf-8",
    )
    found = list(data.clip(video(tmp_path / "a.mp4", 12), truth, every=2))
    assert [round(p.image.mean() / 10) for p in found] == [2, 4, 6, 8]
    assert_allclose(found[0].truth, [[10, 5, 30, 35]])
    assert_allclose(found[1].truth, [[1, 2, 4, 6]])
    assert_allclose(found[1].ignored, [[11, 5, 31, 35]])
    assert len(found[2].truth) == len(found[2].ignored) == 0


@pytest.mark.parametrize("text", ["", "1,2,3\n", "1,2,3,4,5,6\n1,2\n", "a,b,c,d,e,f\n"])
def test_a_bad_truth_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "gt.txt").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"^.*gt\.txt(, line \d)?: "):
        next(data.clip(tmp_path / "a.mp4", tmp_path / "gt.txt", every=1))


def test_missing_or_unreadable_data_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        data.image_files(tmp_path, "all")
    (tmp_path / "text.mp4").write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.mp4: cannot be read as a video"):
        list(data.frames_of(tmp_path / "text.mp4", 1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read as an image"):
        list(data.labelled(tmp_path))


def test_own_sets_are_listed_in_a_file_with_paths_relative_to_a_folder(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", 6)
    (tmp_path / "a.txt").write_text("1,1,10,5,20,30,1,1,1\n6,1,10,5,20,30,1,1,1\n")
    folder(tmp_path / "pictures", 10)
    listed = tmp_path / "sets.yaml"
    listed.write_text(
        "clips: [{name: yard, video: a.mp4, truth: a.txt, every: 2}]\nlabelled: [pictures]\n"
    )
    yard, pictures = data.test_sets(listed, tmp_path)
    assert [yard.name, pictures.name] == ["yard", "pictures"]
    assert [len(list(each.read())) for each in (yard, pictures)] == [3, 2]
    assert [each.name for each in data.test_sets(listed, tmp_path, ["YA"])] == ["yard"]


@pytest.mark.parametrize(
    ("text", "wanted", "reason"),
    [
        ("{}", [], "lists no set"),
        ("labelled: [a]", ["paris"], "--sets paris: no such set; there are a"),
        ("labelled: [a]", [], "a/images: is not there, but the set a needs it"),
        ("clips: [{name: x}]", [], "clips.0.video: Field required"),
        ("labeled: [a]", [], "unknown key labeled; did you mean labelled"),
    ],
)
def test_a_wrong_list_of_sets_is_an_error_of_one_line(
    tmp_path: Path, text: str, wanted: list[str], reason: str
) -> None:
    listed = tmp_path / "sets.yaml"
    listed.write_text(text)
    with pytest.raises(InputError, match=reason):
        data.test_sets(listed, tmp_path, wanted)


def test_the_test_sets_are_all_there_and_share_no_picture_with_training(shared_data: Path) -> None:
    names = [pictures.name for pictures in data.test_sets(Path(data.EXAMPLE), shared_data)]
    assert names[:2] == ["PETS", "TownCentre"]
    assert len(names) == 15
    for path in sorted((shared_data / "detection").iterdir()):
        train, held_back = (set(data.image_files(path, part)) for part in ("train", "held_back"))
        assert not train & held_back
        assert len(train) == len(train | held_back) * 4 // 5


def test_a_set_without_people_has_no_scores_and_is_an_error(tmp_path: Path) -> None:
    picture = data.Picture(
        np.zeros((48, 64, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)
    )
    nobody = data.PictureSet("empty", lambda: iter([picture]))

    def find(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)

    with pytest.raises(InputError, match="empty: none of its 1 pictures has a person in the truth"):
        evaluate.evaluate("nothing", find, [nobody])
