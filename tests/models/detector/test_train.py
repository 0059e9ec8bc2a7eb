"""A tiny training, its loss and its settings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from models.detector import data, evaluate, loss, network, pseudo, settings, train, training
from models.detector.inference import PersonDetector
from models.errors import InputError
from tests.models.detector.pictures import folder, picture

CONFIG = Path(__file__).parents[3] / "configs" / "detector" / "person.yaml"
FREE = (
    "keep.scores=0",
    "keep.boxes=0",
    "network.frozen=0",
    "network.frozen_statistics=false",
    "network.init=",
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random one-class network to start from."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    torch.manual_seed(0)
    built = network.build("yolo11n.yaml", 1, tower=80)
    built.names = {0: "person"}
    network.save(path, built, "yolo11n.yaml")
    return path


def arguments(pictures: Path, output: Path, *changes: str) -> list[str]:
    chosen = (
        f"data.labelled=[{pictures}]",
        "train.size_px=96",
        "train.batch=4",
        "train.epochs=1",
        "train.device=cpu",
        *changes,
    )
    return ["--output", str(output), *(part for change in chosen for part in ("--set", change))]


def test_a_training_writes_a_one_class_file_and_leaves_what_is_frozen(
    tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, output = folder(tmp_path / "pictures", 10), tmp_path / "run"
    before = sorted(tmp_path.rglob("pictures/**/*"))
    assert (
        train.main(arguments(pictures, output, f"network.init={start}", "train.learning_rate=0.01"))
        == 0
    )
    assert capsys.readouterr().out == f"{output / 'model.safetensors'}\n"
    assert sorted(path.name for path in output.iterdir()) == ["config.yaml", "model.safetensors"]
    assert (
        sorted(tmp_path.rglob("pictures/**/*")) == before
    )  # ultralytics would leave caches beside the labels
    with safe_open(output / "model.safetensors", "pt") as file:
        assert file.metadata() == {
            "architecture": "yolo11n.yaml",
            "names": '["person"]',
            "start": "start.safetensors",
            "pictures": "8",
        }
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16, torch.int64}  # noqa: SIM118
    old, new = (
        network.load(start).state_dict(),
        network.load(output / "model.safetensors").state_dict(),
    )
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    assert {int(key.split(".")[1]) for key in changed} <= set(range(11, 24))
    assert "model.23.cv3.0.2.bias" in changed
    assert not any("running" in key or "num_batches" in key for key in changed)
    again = settings.load(str(output / "config.yaml"))
    assert again.network.init == str(start)
    assert train.main(arguments(pictures, output, f"network.init={start}")) == 2
    assert "is not empty" in capsys.readouterr().err


def test_an_output_that_is_a_file_is_an_error_of_one_line(
    tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    output.write_text("a file", encoding="utf-8")
    pictures = folder(tmp_path / "pictures", 5)
    assert train.main(arguments(pictures, output, f"network.init={start}")) == 2
    assert (
        capsys.readouterr().err == f"error: {output}: is a file; give a new folder with --output\n"
    )


def test_only_the_first_four_fifths_of_labelled_folders_are_trained_on(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "first", 10), folder(tmp_path / "second", 5)
    (tmp_path / "run").mkdir()
    chosen = settings.load("", (f"data.labelled=[{first}]", f"data.whole=[{second}]", *FREE))
    assert training.gather(chosen, tmp_path / "run") == 13
    links = sorted((tmp_path / "run" / "images").iterdir())
    expected = [*data.image_files(first, "train"), *data.image_files(second, "all")]
    assert [link.resolve() for link in links] == [path.resolve() for path in expected]
    assert (
        len(list((tmp_path / "run" / "labels").iterdir())) == 12
    )  # the last picture of the second shows nobody


def test_the_distance_to_the_start_is_nothing_at_the_start_and_grows_away_from_it() -> None:
    generator = torch.Generator().manual_seed(0)
    answers = {
        "scores": torch.randn(2, 1, 20, generator=generator),
        "boxes": torch.randn(2, 64, 20, generator=generator),
    }
    assert_close(
        loss.distance(answers, answers, 16),
        (torch.tensor(0.0), torch.tensor(0.0)),
        atol=1e-5,
        rtol=0,
    )
    for key, which in (("scores", 0), ("boxes", 1)):
        far = [
            loss.distance(
                {
                    **answers,
                    key: answers[key] + step * torch.randn(answers[key].shape, generator=generator),
                },
                answers,
                16,
            )
            for step in (0.1, 1.0)
        ]
        assert 0 < far[0][which] < far[1][which]
        assert_close(far[1][1 - which], torch.tensor(0.0), atol=1e-5, rtol=0)


def test_boxes_matter_only_where_the_start_sees_somebody() -> None:
    scores = torch.full((1, 1, 4), -30.0)
    scores[..., 0] = 3.0
    start = {"scores": scores, "boxes": torch.zeros(1, 64, 4)}
    moved = torch.zeros(1, 64, 4)
    moved[:, ::16, 1:] = 9.0
    assert loss.distance({"scores": scores, "boxes": moved}, start, 16)[1] < 1e-6
    moved[:, ::16, 0] = 9.0
    assert loss.distance({"scores": scores, "boxes": moved}, start, 16)[1] > 1


def test_degraded_pictures_stay_pictures_and_a_share_of_nothing_changes_nothing() -> None:
    images = torch.rand(6, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(training.degrade(images, 0, torch.Generator().manual_seed(0)), images)
    changed = training.degrade(images, 1, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert 0 <= changed.min() < changed.max() <= 1
    assert (changed.mean((1, 2, 3)) < images.mean((1, 2, 3))).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("train.epoch=3", "unknown key train.epoch; did you mean train.epochs?"),
        ("train.size_px=100", "train.size_px: .*multiple of 32"),
        ("epochs=3", "write it as section.name=value"),
        ("network.init=", "random weights have nothing to keep"),
        ("data.labelled=[]", "nothing to train on"),
    ],
)
def test_a_wrong_setting_is_an_error_of_one_line(change: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        settings.load(str(CONFIG), (change,))


def test_the_configuration_that_ships_shows_every_default_but_the_data_and_the_start() -> None:
    shown = settings.load(str(CONFIG))
    assert shown.data.labelled
    plain = settings.Settings(
        data=shown.data, network=settings.NetworkSettings(init=shown.network.init)
    )
    assert shown == plain


def test_pseudo_labels_are_what_is_found_in_the_mirror_too() -> None:
    image, boxes = picture(1)
    kept, lonely = np.array([[10.0, 20, 30, 60]]), np.array([[70.0, 20, 90, 60]])
    seen: list[bool] = []

    def find(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mirrored = not np.array_equal(shown, image)
        seen.append(mirrored)
        if mirrored:
            return kept[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [130, 0, 130, 0], np.array(
                [0.6]
            )  # 2 px off the 128 of the image
        return np.concatenate([kept, lonely]), np.array([0.5, 0.9])

    assert_close(pseudo.label(image, find), np.array([[9, 20, 29, 60]], np.float32))
    assert seen == [False, True]
    assert pseudo.label(image, lambda shown: (boxes[:0], np.zeros(0))).shape == (0, 4)


def test_the_table_has_a_row_per_set_and_a_column_per_detector(tmp_path: Path, start: Path) -> None:
    (tmp_path / "detection").mkdir()
    for name in ("a", "b"):
        folder(tmp_path / "detection" / name, 10)
    listed = tmp_path / "sets.yaml"
    listed.write_text("labelled: [detection/a, detection/b]")
    sets = data.test_sets(listed, tmp_path)
    rows = evaluate.evaluate("nothing", lambda image: (np.zeros((0, 4)), np.zeros(0)), sets)
    assert [(row.set, row.n_frames, row.ap50, row.recall) for row in rows] == [
        ("a", 2, 0.0, 0.0),
        ("b", 2, 0.0, 0.0),
    ]
    rows += evaluate.evaluate("random", PersonDetector(str(start), size_px=128), sets)
    lines = evaluate.table(rows).splitlines()
    assert lines[0] == "| set | nothing | random |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| a", "| b", "| mean", "| frames/s"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["--size-px", "0"], "an input of 0 px is too small; give 32"),
        (["--sets", "paris"], "no such set; there are a"),
        (["--weights", "missing.safetensors"], "missing.safetensors: no such file"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str], changes: list[str], reason: str
) -> None:
    folder(tmp_path / "detection" / "a", 5)
    listed = tmp_path / "sets.yaml"
    listed.write_text("labelled: [detection/a]")
    sets = ["--data", str(tmp_path), "--test-sets", str(listed)]
    assert evaluate.main(["--weights", str(start), *sets, *changes]) == 2
    assert reason in capsys.readouterr().err
