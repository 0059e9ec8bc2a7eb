"""Checkpoints of other programs on the command line: converted, and taken as they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.reid import convert, encoder, export, search
from models.reid.networks import file, table
from tests.models.reid.commands import Command

READ_AS = "read as torchreid OSNet (osnet_x0_25, 256x128 px)"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small OSNet as torchreid saves it."""
    torch.manual_seed(0)
    network = table.build("osnet_x0_25", {"n_classes": 4}).eval()
    state = {
        key.replace("image.", "module.", 1): value for key, value in network.state_dict().items()
    }
    path = tmp_path_factory.mktemp("torchreid") / "model.pth.tar-60"
    torch.save({"state_dict": state, "epoch": 60, "rank1": np.float64(0.9)}, path)
    return path


def crops() -> list[np.ndarray]:
    """Two clips of two crops."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 2, 128, 64, 3), np.uint8)
    return list(noise)


def test_a_converted_checkpoint_gives_the_same_features(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.safetensors"
    assert convert.main([str(checkpoint), "--output", str(output)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{checkpoint}: {READ_AS}"
    assert printed[1].startswith(f"{output}: 567 tensors, RGB normalised by ImageNet's mean")
    loaded = file.load(output)
    assert loaded.note == ""
    assert loaded.about["converted"] == {"from": "model.pth.tar-60", "family": "torchreid OSNet"}
    assert loaded.recipe.options["n_classes"] == 4
    direct = encoder.load(checkpoint, "cpu").features(crops())
    assert_allclose(encoder.load(output, "cpu").features(crops()), direct, rtol=0, atol=0)


def test_what_the_keys_do_not_tell_is_set(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    arguments = [str(checkpoint), "--output", str(output), "--set", "height_px=160"]
    assert convert.main([*arguments, "--set", "width_px=64"]) == 0
    recipe = file.load(output).recipe
    assert (recipe.height_px, recipe.width_px) == (160, 64)


def test_an_encoder_says_how_a_checkpoint_was_read(checkpoint: Path) -> None:
    opened = encoder.load(checkpoint, "cpu")
    assert opened.note == READ_AS
    assert opened.size == (256, 128) and opened.width == 512


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{file}", "--output", "model.onnx"], "--output takes the name of a .safetensors file"),
        (["{file}", "--output", "x.safetensors", "--set", "scale"], "write it as key=value"),
        (["{file}", "--output", "x.safetensors", "--architecture", "vgg"], "architecture vgg: "),
        (["{file}", "--output", "x.safetensors", "--architecture", "hacnn"], "does not fit hacnn"),
        (["missing.pth", "--output", "x.safetensors"], "no such file"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(
    checkpoint: Path,
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [argument.format(file=checkpoint) for argument in arguments]
    assert convert.main(given) == 2
    printed = capsys.readouterr().err
    assert reason in printed and printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_network_of_ours_needs_no_conversion(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours.safetensors"
    assert convert.main([str(checkpoint), "--output", str(ours)]) == 0
    assert convert.main([str(ours), "--output", str(tmp_path / "again.safetensors")]) == 2
    assert "is a network of this program already" in capsys.readouterr().err


def test_export_takes_a_checkpoint_and_says_how_it_was_read(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.safetensors"
    assert export.main([str(checkpoint), "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{checkpoint}: {READ_AS}"
    assert file.load(output).recipe.options["n_classes"] == 0


def test_search_takes_a_checkpoint_and_says_how_it_was_read(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for i, crop in enumerate(np.concatenate(crops())):
        cv2.imwrite(str(gallery / f"{i}.png"), crop)
    arguments = ["--query", str(gallery / "2.png"), "--gallery", str(gallery)]
    output = ["--output", str(tmp_path / "found"), "--device", "cpu", "--quiet"]
    assert search.main([*arguments, "--weights", str(checkpoint), *output]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == f"  1  1.000  {gallery / '2.png'}"
    assert printed.err == f"note: {checkpoint}: {READ_AS}\n"


def test_evaluate_takes_a_checkpoint_and_says_how_it_was_read(
    checkpoint: Path, command: Command
) -> None:
    ran = command("market1501", weights=checkpoint)
    assert ran.code == 0
    note = f"note: {checkpoint}: {READ_AS}"
    assert note in ran.out and ran.splits[0]["notes"] == [note]
    assert 0 < ran.splits[0]["rows"][0]["map"] <= 1
