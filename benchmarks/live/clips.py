"""Videos as access units, which servers send as a camera would."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

START_CODE = re.compile(rb"\x00\x00\x01")
IDR = 5
SEQUENCE_PARAMETERS = 7
PICTURE_PARAMETERS = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """A coded picture.

    Attributes:
        nals: its NAL units, without start codes.
        shown_s: when it is shown, after the first picture of the clip.
        sent_s: when an encoder that has seen all pictures it refers to can send it, likewise.
        is_key: decoding can begin here.
    """

    nals: tuple[bytes, ...]
    shown_s: float
    sent_s: float
    is_key: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """An H.264 video in memory.

    Attributes:
        units: its pictures in the order of decoding; the first is a key.
        duration_s: from the first picture to the first picture of the next loop.
        parameters: the sequence and the picture parameter sets.
        size: width and height, px.
    """

    units: tuple[Unit, ...]
    duration_s: float
    parameters: tuple[bytes, ...]
    size: tuple[int, int]

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return len(self.units) / self.duration_s


def read(path: Path) -> Clip:
    """Read an H.264 video, with or without B-frames.

    Args:
        path: The file; its track of pictures is the first one.

    Raises:
        ValueError: It is no H.264 video.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            raise ValueError(f"{path}: is {stream.codec_context.name}, not H.264")
        size = (stream.codec_context.width, stream.codec_context.height)
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        packets = [
            filtered
            for packet in container.demux(stream)
            if packet.size
            for filtered in to_annex_b.filter(packet)
        ]
        tick_s = float(stream.time_base or 0)
    stamps_s = [tick_s * (packet.pts or 0) for packet in packets]
    decoded_s = [tick_s * (packet.dts or 0) for packet in packets]
    first_s = min(stamps_s)
    # an encoder cannot send a picture before the camera has taken it
    delay_s = max(shown - decoded for shown, decoded in zip(stamps_s, decoded_s, strict=True))
    units = tuple(
        _unit(bytes(packet), shown - first_s, decoded + delay_s - first_s)
        for packet, shown, decoded in zip(packets, stamps_s, decoded_s, strict=True)
    )
    interval_s = (max(stamps_s) - first_s) / (len(units) - 1)
    parameters = {
        nal[0] & 31: nal
        for unit in reversed(units)
        for nal in unit.nals
        if nal[0] & 31 in (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS)
    }
    return Clip(
        units,
        max(stamps_s) - first_s + interval_s,
        (parameters[SEQUENCE_PARAMETERS], parameters[PICTURE_PARAMETERS]),
        size,
    )


def _unit(data: bytes, shown_s: float, sent_s: float) -> Unit:
    nals = tuple(_nals(data))
    return Unit(nals, shown_s, sent_s, any(nal[0] & 31 == IDR for nal in nals))


def _nals(data: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B byte stream."""
    codes = list(START_CODE.finditer(data))
    ends = [code.start() for code in codes[1:]] + [len(data)]
    for code, end in zip(codes, ends, strict=True):
        # zeros after a unit belong to the next start code, which may be longer
        nal = data[code.end() : end].rstrip(b"\x00")
        if nal:
            yield nal
