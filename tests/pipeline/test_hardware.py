"""Hardware that is not there is replaced by software, with a note; what is there works."""

import itertools
import json
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import cli, hardware, yuv
from pipeline.config import CameraConfig, OutputConfig, SourcesConfig
from pipeline.outputs.mosaic import tile
from pipeline.outputs.video import annotate
from pipeline.records import Array
from pipeline.sources import open_source
from pipeline.timings import Timings
from tests.pipeline.outputs.people import camera
from tests.videos import write_video

SIZE = (320, 240)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "cam.mp4", 5, size=SIZE)


@pytest.fixture(params=hardware.DECODERS)
def missing_decoder(request: pytest.FixtureRequest) -> str:
    """A kind of decoder that this machine does not have."""
    name = str(request.param)
    if hardware.decoder(name) == name:
        pytest.skip(f"this machine decodes with {name}")
    return name


@pytest.fixture(params=hardware.ENCODERS)
def missing_encoder(request: pytest.FixtureRequest) -> str:
    """An encoder that this machine does not have."""
    name = str(request.param)
    if hardware.encoder(name, *SIZE) == name:
        pytest.skip(f"this machine encodes with {name}")
    return name


def images(path: Path, decoder: str) -> list[Array]:
    settings = SourcesConfig.model_validate({"decoder": decoder})
    return [f.image for f in open_source(CameraConfig(source=str(path), name="cam"), settings)]


def annotated(path: Path, encoder: str, output: Path) -> bytes:
    settings = OutputConfig.model_validate({"encoder": encoder})
    config = CameraConfig(source=str(path), name="cam")
    source = open_source(config, SourcesConfig(), in_yuv=True)
    annotate(iter(source), source.camera, [], output, settings, Timings(), lambda: False)
    return output.read_bytes()


def test_a_decoder_that_is_missing_gives_the_pixels_of_software_and_a_note(
    video: Path, missing_decoder: str
) -> None:
    expected = images(video, "software")
    for image, other in zip(images(video, missing_decoder), expected, strict=True):
        np.testing.assert_array_equal(image, other)
    (note,) = hardware.notes(missing_decoder, hardware.X264, [SIZE])
    assert note.startswith(f"sources.decoder={missing_decoder} cannot be used here (")
    assert note.endswith("); videos are decoded in software")


def test_an_encoder_that_is_missing_gives_the_file_of_x264_and_a_note(
    tmp_path: Path, video: Path, missing_encoder: str
) -> None:
    expected = annotated(video, hardware.X264, tmp_path / "expected.mp4")
    assert annotated(video, missing_encoder, tmp_path / "out.mp4") == expected
    (note,) = hardware.notes(hardware.SOFTWARE, missing_encoder, [SIZE, SIZE])
    assert note.startswith(f"output.encoder={missing_encoder} cannot write 320x240 here (")
    assert note.endswith("); such videos are encoded by libx264")


def test_a_mosaic_is_encoded_by_x264_where_hardware_is_missing(
    tmp_path: Path, video: Path, missing_encoder: str
) -> None:
    cameras = [camera("cam", size=SIZE)]
    written: list[bytes] = []
    for encoder in (hardware.X264, missing_encoder):
        path = tmp_path / "mosaic.mp4"
        tile(cameras, [video], path, 23, lambda: False, encoder)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_auto_and_software_need_no_note() -> None:
    assert hardware.notes(hardware.AUTO, hardware.AUTO, [SIZE]) == []
    assert hardware.notes(hardware.SOFTWARE, hardware.X264, [SIZE]) == []


@pytest.mark.parametrize("name", [hardware.X264, hardware.AUTO, *hardware.ENCODERS])
def test_what_is_chosen_writes_every_picture(tmp_path: Path, video: Path, name: str) -> None:
    annotated(video, name, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == 5


@pytest.mark.parametrize("name", [hardware.AUTO, *hardware.DECODERS])
def test_what_is_chosen_reads_every_picture(video: Path, name: str) -> None:
    assert len(images(video, name)) == 5


def test_pictures_of_hardware_are_converted_as_those_of_software(sample: Path) -> None:
    with av.open(str(sample / "cam1.mp4")) as container:
        for picture in itertools.islice(container.decode(video=0), 2):
            of_hardware = picture.reformat(format="nv12")
            np.testing.assert_array_equal(
                yuv.to_bgr(yuv.in_planes(of_hardware)), yuv.to_bgr(picture)
            )


def test_a_run_notes_hardware_that_is_missing(
    tmp_path: Path, video: Path, missing_decoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"{i},-1,100,60,40,120,1\n" for i in range(1, 6)))
    results = tmp_path / "run"
    settings = [
        f"detector.detections={boxes}",
        "reid.weights=none",
        f"sources.decoder={missing_decoder}",
    ]
    changes = [argument for setting in settings for argument in ("--set", setting)]
    command = ["--videos", str(video), "--quiet", "--output", str(results), *changes]
    assert cli.main(command) == 0
    note = f"sources.decoder={missing_decoder} cannot be used here"
    assert f"note: {note}" in capsys.readouterr().out
    assert any(note in each for each in json.loads((results / "run.json").read_text())["notes"])
