"""Features of pictures and tracklets for people who call the program from Python."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.errors import InputError
from models.reid import FeatureExtractor, encoder, extractor
from tests.models.reid import miniatures


@pytest.fixture(scope="module")
def extract(colours: Path) -> FeatureExtractor:
    return FeatureExtractor(colours, device="cpu", batch_crops=4)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(9)]
    for i, path in enumerate(paths):
        miniatures.write(path, i // 3, 0, rng)
    return paths


def test_paths_arrays_and_tracklets_give_unit_vectors(
    extract: FeatureExtractor, pictures: list[Path]
) -> None:
    arrays = [cv2.imread(str(path)) for path in pictures]
    of_paths = extract(pictures)
    assert of_paths.shape == (9, extract.width) and of_paths.dtype == np.float32
    assert_allclose(np.linalg.norm(of_paths, axis=1), 1, rtol=1e-6)
    assert_allclose(extract([str(path) for path in pictures]), of_paths)
    assert_allclose(extract(arrays), of_paths)
    assert_allclose(extract([pictures[0], arrays[1]]), of_paths[:2])
    tracklet = extract([pictures[:3], np.stack(arrays[:3]), arrays[3:5]])
    assert_allclose(tracklet[0], tracklet[1])
    assert tracklet.shape == (3, extract.width)


def test_a_person_is_more_alike_to_himself(extract: FeatureExtractor, pictures: list[Path]) -> None:
    features = extract(pictures)
    alike = features @ features.T
    same = np.arange(9)[:, None] // 3 == np.arange(9) // 3
    assert alike[same].min() > alike[~same].max()


def test_a_feature_is_that_of_the_encoder_also_of_a_long_tracklet(
    extract: FeatureExtractor, colours: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [cv2.imread(str(path)) for path in pictures]
    whole = encoder.load(colours, "cpu").features([np.stack(arrays)])[0]
    expected = whole / np.linalg.norm(whole)
    assert_allclose(extract([arrays])[0], expected, rtol=1e-5)
    monkeypatch.setattr(extractor, "MAX_FRAMES", 2)
    assert_allclose(extract([arrays])[0], expected, rtol=1e-5)


def test_nothing_has_no_features(extract: FeatureExtractor) -> None:
    assert extract([]).shape == (0, extract.width)


def test_what_is_no_picture_is_refused(
    extract: FeatureExtractor, pictures: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="give a list of pictures"):
        extract(str(pictures[0]))
    with pytest.raises(InputError, match=r"nowhere\.png: cannot be read"):
        extract([tmp_path / "nowhere.png"])
    with pytest.raises(InputError, match=r"^a picture is an array .* not \(4, 4\) of float64$"):
        extract([np.zeros((4, 4))])
    with pytest.raises(InputError, match=r"^item 1: a tracklet has no pictures$"):
        extract([pictures[0], []])


def test_without_a_name_it_is_the_bundled_network(pictures: list[Path]) -> None:
    extract = FeatureExtractor(device="cpu", runtime="torch")
    assert extract(pictures[:2]).shape == (2, extract.width)
