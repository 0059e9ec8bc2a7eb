"""Small real video files, made by the tests."""

import itertools
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(i: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture (height, width, 3) whose grey level tells its number and whose top left corner is
    white.
    """
    image = np.full((height, width, 3), 20 + i * 3 % 200, np.uint8)
    image[: height // 4, : width // 4] = 255
    return image


def write_video(
    path: Path,
    n_frames: int = 20,
    fps: Fraction | float = 10,
    size: tuple[int, int] = (64, 48),
    times_s: Sequence[float] | None = None,
    rotation_deg: int = 0,
) -> Path:
    """Write `picture`s as H.264 (.mp4, .ts, .mkv), at `fps` or at explicit times.

    `rotation_deg` is clockwise, as phones note it.
    """
    rate = Fraction(fps).limit_denominator(1001)
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=rate, options={"preset": "ultrafast", "g": "5"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        tick = Fraction(1, 90_000)
        stream.codec_context.time_base = tick
        for i in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(i, *size), format="bgr24")
            at = Fraction(times_s[i]).limit_denominator(90_000) if times_s is not None else i / rate
            frame.pts, frame.time_base = round(at / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation_deg:
        _rotate(path, rotation_deg)
    return path


def _rotate(path: Path, degrees_clockwise: int) -> None:
    """Put a display matrix into the track header, as a phone does that was held upright."""
    one = 0x10000
    matrix = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[
        degrees_clockwise
    ]
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of header
    a, b, c, d = matrix
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)


def write_beginning(source: Path, path: Path, n_frames: int) -> Path:
    """Write the first frames of a video as H.264, at the same rate."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        original = whole.streams.video[0]
        options = {"preset": "ultrafast", "crf": "18"}
        stream = container.add_stream("libx264", rate=original.average_rate, options=options)
        stream.width, stream.height = original.width, original.height
        stream.pix_fmt = "yuv420p"
        for frame in itertools.islice(whole.decode(original), n_frames):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_tracks(path: Path, videos: Sequence[Path]) -> Path:
    """Write a file that has the pictures of each video as one track."""
    with av.open(str(path), "w") as container, ExitStack() as stack:
        inputs = [stack.enter_context(av.open(str(video))) for video in videos]
        for each in inputs:
            container.add_stream_from_template(each.streams.video[0])
        for stream, each in zip(container.streams.video, inputs, strict=True):
            for packet in each.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    return path
