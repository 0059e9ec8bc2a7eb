"""The program as Python functions, which the command line calls too: for files, for live cameras,
and for corrections of what was found.

Importing this module is cheap: torch is loaded by the first call.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import config as configuration
from pipeline.config import Config

if TYPE_CHECKING:
    from pipeline.result import Result


def track_people(
    videos: Sequence[str | Path] = (),
    *,
    output: str | Path,
    config: str | Path | Config = "",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    resume: bool = False,
) -> "Result":
    """Track people in several cameras, give each person one identity, and write the results.

    Called in the main thread, it takes the first Ctrl-C as a request to stop reading: what was read
    is linked, written and returned, with `interrupted` set.

    Args:
        videos: Video files or folders of images, one per camera. Leave it out when `config` lists
            cameras.
        output: Folder for the results; it is created if it is missing.
        config: YAML file with cameras and settings, or settings from `pipeline.config.load`; "" for
            the defaults.
        settings: Single settings that replace those of `config`, by dotted key, for example
            {"tracker.max_lost_s": 2.0}. configs/default.yaml explains every key.
        overwrite: Replace the results of an earlier run in `output`.
        quiet: Show no progress bars.
        resume: With `engine: ray`, go on with a run in `output` that was killed, if there is one.

    Returns:
        What was found and written. `people` holds the identities, each with its tracklets in order
        of time; `cameras` describes the cameras; `files` names what was written into `folder`;
        `warnings` says what went wrong without stopping the run.

    Raises:
        ConfigError: A setting is unknown or not valid, or settings contradict each other.
        SourceError: A video, a folder of images or a file of detections cannot be read.
        ModelError: Weights are missing or cannot be loaded.
        OutputError: The results cannot be written, or `output` is not empty and `overwrite` is not
            set.
    """
    all_settings = _settings(videos, config, settings)
    from pipeline import run  # here, because it takes seconds to load torch

    return run.run(all_settings, Path(output), overwrite, quiet, resume=resume)


def follow_live(
    videos: Sequence[str | Path] = (),
    *,
    output: str | Path,
    config: str | Path | Config = "",
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    reload: Callable[[], Config] | None = None,
    quiet: bool = True,
) -> "Result":
    """Follow people in live cameras until it is stopped, by Ctrl-C or SIGTERM in the main thread.

    Args:
        videos: Addresses or devices of live cameras; files are played as if they were live. Leave
            it out when `config` lists cameras.
        output: Folder for the results, which are on disk as they come.
        config: As of `track_people`.
        settings: As of `track_people`.
        resume: Go on with the people of an earlier run in `output`, if there is one.
        reload: Reads the settings again at SIGHUP and `POST /reload`; None where there is nothing
            to read.
        quiet: Print nothing of what happens to cameras.

    Returns:
        What was found and written.

    Raises:
        ConfigError: A setting is unknown or not valid, or an earlier run cannot be taken up.
        SourceError: A file that is to be played cannot be read.
        ModelError: Weights are missing or cannot be loaded.
        OutputError: The results cannot be written, or `output` holds another run.
    """
    all_settings = configuration.all_live(_settings(videos, config, settings))
    from pipeline.live import run  # here, because it takes seconds to load torch

    return run.run(all_settings, Path(output), resume, reload, quiet)


def apply_corrections(
    folder: str | Path,
    corrections: str | Path = "",
    *,
    output: str | Path = "",
    overwrite: bool = False,
    video: bool = False,
    quiet: bool = True,
    zones: str | Path = "",
) -> "Result":
    """Link the people of a finished run again, with corrections, and write its results anew.

    No video is read, unless `video` is set. Whoever is mostly the same keeps their number.

    Args:
        folder: Output folder of a run over files.
        corrections: YAML file of corrections, which are added to those in `corrections.yaml` of the
            folder; "" for those alone.
        output: Folder for the results; "" for `folder` itself.
        overwrite: Replace the results of an earlier run in `output`.
        video: Draw the annotated videos again, from the sources of the run.
        quiet: Show no progress bars.
        zones: YAML file of settings whose zones are counted; "" for those in `config.yaml` of the
            folder.

    Returns:
        As of `track_people`.

    Raises:
        ConfigError: The corrections or zones cannot be read, or contradict each other.
        SourceError: The folder holds no results that can be linked again, or a video is missing.
        OutputError: The results cannot be written, or `output` is not empty and `overwrite` is not
            set.
    """
    from pipeline import relink  # here, because it loads torch

    return relink.relink(
        Path(folder),
        str(corrections),
        Path(output or folder),
        overwrite=overwrite,
        with_video=video,
        quiet=quiet,
        zones=str(zones),
    )


def _settings(
    videos: Sequence[str | Path],
    config: str | Path | Config,
    settings: Mapping[str, Any] | None,
) -> Config:
    """All settings of a run, as the functions above take them; raises ConfigError."""
    if not isinstance(config, Config):
        config = configuration.load(str(config))
    config = configuration.change(config, settings or {}, "settings")
    return configuration.with_videos(config, [str(video) for video in videos])
