"""What a run keeps to be linked again without its videos: `tracklets.npz`.

It holds all tracklets with their embeddings and without pixels, as they were before linking, and
what else linking and filling take: cameras, settings, what was known of the site, and which frames
were looked at. That is 3 to 6 kB a tracklet. `people-tracker apply` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import one_line
from pipeline import config as configuration
from pipeline import packed
from pipeline.config import Config
from pipeline.errors import SourceError
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import SimilarityStats
from pipeline.linking.learning.travel_times import Transitions, TravelTimes
from pipeline.linking.site import Site
from pipeline.records import Camera, Embedded, Tracklet

FILE = "tracklets.npz"
SCHEMA = "tracklets/1"


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read of all cameras.

    Attributes:
        settings: of the run as plain values, without credentials and with absolute paths.
        tracklets: with their embeddings, not linked yet.
        cameras: all cameras, with the frames that were processed.
        prior: what earlier runs learned of the site.
        look_s: longest time from one look of the detector to the next, seconds, by camera that it
            did not look at all the time.
        last_s: time of each camera's last processed frame, on the clocks of the settings.
        frame_ranges: as of `Result`.
        n_boxes: as of `Result`.
        n_unchanged: as of `Result`.
        reid_sha256: hash of the ReID network.
        notes: what the run said of what it chose, up to here.
        warnings: what went wrong up to here.
    """

    settings: Mapping[str, Any]
    tracklets: list[Embedded]
    cameras: list[Camera]
    prior: Site
    look_s: Mapping[str, float]
    last_s: Mapping[str, float]
    frame_ranges: Mapping[str, list[tuple[int, int]]]
    n_boxes: Mapping[str, int]
    n_unchanged: Mapping[str, int]
    reid_sha256: str
    notes: list[str]
    warnings: list[str]

    @property
    def config(self) -> Config:
        """The settings; raises ConfigError where this version of the program has others."""
        return configuration.build(dict(self.settings), FILE)


KINDS = packed.kinds(
    Kept,
    Embedded,
    Tracklet,
    Camera,
    Site,
    SimilarityStats,
    TravelTimes,
    Transitions,
    Homography,
    Offset,
)


def write(path: Path, kept: Kept) -> None:
    """Write the file; raises OSError."""
    with path.open("wb") as file:
        packed.write(file, SCHEMA, kept, KINDS)


def read(folder: Path) -> Kept:
    """Read the file of an output folder.

    Args:
        folder: the folder.

    Raises:
        SourceError: there is none, it is damaged, or another version of the program wrote it.
    """
    path = folder / FILE
    cure = "run again with --corrections FILE"
    if not path.is_file():
        raise SourceError(
            f"{path}: no such file; runs over files that link at their end keep it, live runs and"
            f" runs with linking.online do not; {cure}"
        )
    try:
        with path.open("rb") as file:
            kept = packed.Document(file, SCHEMA).value(KINDS)
        if not isinstance(kept, Kept):
            raise ValueError("it holds no tracklets")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}); {cure}") from None
    except ValueError as error:
        raise SourceError(
            f"{path}: is damaged, or of another version of this program ({one_line(error)}); {cure}"
        ) from None
    return kept
