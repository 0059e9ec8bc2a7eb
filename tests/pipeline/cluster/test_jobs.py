"""What workers are given to do, before any of them is started."""

from pathlib import Path

import pytest

from pipeline.cluster.files import FileReader, groups_of
from pipeline.cluster.log import RunLog
from pipeline.config import Config
from pipeline.preparation import prepare
from tests.videos import write_video


def test_workers_are_given_paths_that_are_valid_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "cam.mp4")
    monkeypatch.chdir(tmp_path)
    config = Config(
        cameras=[{"source": "cam.mp4"}],
        detector={"weights": "hog"},
        reid={"weights": "none"},
        engine="ray",
    )
    prepared = prepare(config, tmp_path / "out", overwrite=False)
    log = RunLog(prepared.result.folder, prepared.result, resume=False)
    (group,) = groups_of(prepared.config)
    _, (job,) = FileReader(log, quiet=True)._maker(prepared)(group)
    (camera,) = job.config.cameras
    assert camera.source == str(tmp_path / "cam.mp4")
