"""Reading a source on a thread of its own, while its frames are processed."""

from collections.abc import Generator

from pipeline import ahead
from pipeline.records import Frame
from pipeline.sources.source import Source
from pipeline.timings import Timings


def read_ahead(source: Source, n_frames: int, timings: Timings) -> Generator[Frame, None, None]:
    """Read `source` on a thread of its own.

    Closing the generator stops the thread. When the thread does not end in time, a warning is added
    to the source.

    Args:
        source: what to read.
        n_frames: how many frames may wait for the consumer.
        timings: the thread's work counts as "decode", the consumer's idling as "wait for decode".

    Yields:
        The frames of the source, in its order.

    Raises:
        BaseException: what the source raised, after the frames before it.
    """

    def read() -> Generator[Frame, None, None]:
        reading = iter(source)
        while True:
            with timings.stage("decode"):
                frame = next(reading, None)
            if frame is None:
                return
            yield frame

    def warn() -> None:
        source.warnings.append(
            f"{source.camera.name}: reading did not stop within {ahead.JOIN_S:g} s; check the disk"
            " or the network that it is read from"
        )

    return ahead.ahead(read(), n_frames, "decode", timings, warn)
