"""Decoding and encoding by hardware, where a setting asks for it and this machine can do it.

Software is the default: its pictures and files are the same on every machine. Hardware decoders of
H.264 give the same samples by its standard, but those of older formats, and what they do with
damaged files, may differ. Encoders differ in quality and size. What cannot be used is replaced by
software, with a note.

QSV decoders are codecs of their own in FFmpeg, which PyAV cannot choose for a file; they are left
out.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from pipeline import yuv

AUTO = "auto"
SOFTWARE = "software"
X264 = "libx264"
DECODERS = ("cuda", "vaapi")
"""Kinds of devices, in the order in which they are tried."""
TICKS = 90_000
"""Time base of the files: exact for 24, 25, 29.97, 30, 50 and 60 frames a second."""


@dataclass(frozen=True, slots=True)
class _Encoder:
    """How an encoder of FFmpeg is used.

    quality: its option that the CRF is given to.
    options: its other options. With B-frames, MP4 notes a wrong length at variable rates.
    pixel_format: in which it takes pictures.
    device: kind of the device that frames are copied to; "" where the encoder does it.
    """

    quality: str
    options: dict[str, str]
    pixel_format: str = yuv.FORMAT
    device: str = ""


ENCODERS = {
    "h264_nvenc": _Encoder("cq", {"preset": "p4", "rc": "vbr", "b": "0", "bf": "0"}),
    "h264_qsv": _Encoder("global_quality", {"bf": "0"}, "nv12"),
    "h264_vaapi": _Encoder("qp", {"rc_mode": "CQP", "bf": "0"}, "nv12", "vaapi"),
}
"""Hardware, in the order in which it is tried."""

# The veryfast preset with motion searched less finely: three quarters of its CPU time and 1.08 of
# its size at the same PSNR and SSIM (two scenes of the sample, three recorded ones). Faster presets
# need 1.8 times the size, or more.
_X264 = _Encoder("crf", {"preset": "veryfast", "subq": "1", "me_method": "dia", "bf": "0"})


def encoder(wanted: str, width: int, height: int) -> str:
    """Return the encoder that is used.

    Args:
        wanted: a name of `ENCODERS`, `X264`, or auto: the first that works.
        width: columns of the video, px, even.
        height: rows of the video, px, even.
    """
    if wanted == X264:
        return X264
    names = ENCODERS if wanted == AUTO else (wanted,)
    return next((name for name in names if not _why_no_encoder(name, width, height)), X264)


def decoder(wanted: str) -> str:
    """Return the kind of device that decodes, or `SOFTWARE`.

    Args:
        wanted: one of `DECODERS`, `SOFTWARE`, or auto: the first that works.
    """
    if wanted == SOFTWARE:
        return SOFTWARE
    devices = DECODERS if wanted == AUTO else (wanted,)
    return next((device for device in devices if not _why_no_decoder(device)), SOFTWARE)


def notes(wanted_decoder: str, wanted_encoder: str, sizes: Iterable[tuple[int, int]]) -> list[str]:
    """Say what was asked for and cannot be used.

    Args:
        wanted_decoder: `sources.decoder`.
        wanted_encoder: `output.encoder`.
        sizes: width and height of each video that is to be written.
    """
    said: list[str] = []
    if wanted_decoder in DECODERS and (why := _why_no_decoder(wanted_decoder)):
        said.append(
            f"sources.decoder={wanted_decoder} cannot be used here ({why}); videos are decoded in"
            " software"
        )
    if wanted_encoder not in ENCODERS:
        return said
    for width, height in sorted(set(sizes)):
        if why := _why_no_encoder(wanted_encoder, width, height):
            said.append(
                f"output.encoder={wanted_encoder} cannot write {width}x{height} here ({why}); such"
                f" videos are encoded by {X264}"
            )
    return said


def acceleration(wanted: str) -> HWAccel | None:
    """Return how a file is to be opened for decoding; None in software.

    Codecs that the device does not know are decoded in software all the same.
    """
    device = decoder(wanted)
    return None if device == SOFTWARE else HWAccel(device, allow_software_fallback=True)


def add_stream(
    container: OutputContainer, name: str, width: int, height: int, rate: Fraction, crf: int
) -> VideoStream:
    """Add an H.264 stream with the time base 1 / `TICKS` to a file.

    Args:
        container: the file.
        name: what `encoder` returned.
        width: columns, px, even.
        height: rows, px, even.
        rate: nominal frames a second.
        crf: quality, 0 (best) to 51.
    """
    kind = ENCODERS.get(name, _X264)
    options = {**kind.options, kind.quality: str(crf)}
    device = HWAccel(kind.device) if kind.device else None
    stream = container.add_stream(name, rate=rate, options=options, hwaccel=device)
    assert isinstance(stream, VideoStream)
    stream.width = width
    stream.height = height
    stream.pix_fmt = kind.pixel_format
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


@lru_cache
def _why_no_encoder(name: str, width: int, height: int) -> str:
    """Write a picture; return why that fails, "" where it works."""
    picture = yuv.blank(width, height, yuv.BT709)
    yuv.fill(yuv.planes(picture), yuv.BT709.black)
    picture.pts = 0
    picture.time_base = Fraction(1, TICKS)
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as container:
            stream = add_stream(container, name, width, height, Fraction(25), 23)
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except (FFmpegError, ValueError, NotImplementedError) as error:
        return _reason(error)
    return ""


@lru_cache
def _why_no_decoder(device: str) -> str:
    """Open a device for H.264; return why that fails, "" where it works."""
    if device not in hwdevices_available():
        return "PyAV was built without it"
    try:
        HWAccel(device).create(Codec("h264", "r"))
    except (FFmpegError, NotImplementedError) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    if isinstance(error, av.codec.codec.UnknownCodecError):
        return "PyAV was built without it"
    text = error.strerror if isinstance(error, FFmpegError) else str(error)
    return " ".join(str(text).split())
