"""One connection to a live camera: opened, read, decoded.

Packets are taken as fast as they come, so that none waits in a buffer: old pictures pile up there,
and the delay grows. Where this machine decodes more slowly than a camera sends, packets are passed
over undecoded until it has caught up, and decoding goes on with the next keyframe.

Two kinds of packets do not come at the pace of the pictures, and are held back until they are due:
those of a file that is played as if it were live, and those of HLS, which come a segment at a time.
"""

import errno
import math
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.address import Address
from pipeline.config import CameraConfig, LiveConfig
from pipeline.errors import SourceError
from pipeline.sources.live.wall_clock import ArrivalClock, Stamps
from pipeline.sources.picture import believed
from pipeline.sources.source import reason

STAMPLESS = ("mpjpeg", "mjpeg", "mjpeg_2000", "image2pipe", "jpeg_pipe")
"""Formats without timestamps, for which FFmpeg makes them up at 25 a second."""
MAX_UNDECODED = 10
"""A decoder that gives no picture for `live.open_timeout_s` may have waited for packets; for so
many packets as well, it is stuck.
"""
PACED = ("hls",)
HELD_BACK = ("rtsp",)
"""Formats of which FFmpeg gives a packet when the next one is there: it looks for its end."""
LOOKED_AT_US = 200_000
"""How much of a stream FFmpeg looks at before it is open, microseconds."""
LOOKED_AT_BYTES = 2_000_000
MAX_REORDER_US = 200_000
"""How long RTP packets over UDP are waited for that come out of order, microseconds."""
WAITED_S = 0.005
"""Reads that take longer have waited for the camera."""
MEMORY_S = 0.25
"""Time after which the waiting of a read counts a third."""
MAX_LATE_S = 0.2
"""A packet that is read so much later than the fastest one is late ..."""
LATE_SHARE = 0.5
"""... by this machine's fault, if less than this share of the time is spent waiting for packets."""
BUSY_SHARE = 0.05
"""Below this share, packets are late where no stamps tell."""
MAX_JUMP_S = 10.0
"""A longer step of the stamps is a jump, and no pause."""
NTP_1970_S = 2_208_988_800
"""1970 in seconds since 1900, as NTP counts."""
_REPORT = struct.Struct("@IQIII")
"""AVRTCPSenderReport: ssrc, NTP time in 1/2^32 s, RTP time, packets, bytes."""
_REFERENCE = struct.Struct("@qi")
"""AVProducerReferenceTime: wall clock in microseconds, flags."""


class StreamError(Exception):
    """A connection failed or ended; the text says why, without credentials."""


class StreamEnd(Exception):
    """A file that was played as if live is over; the text says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, and what is known of its time."""

    picture: av.VideoFrame
    stamps: Stamps


@dataclass(frozen=True, slots=True)
class _Target:
    """What is opened, and how.

    url: as FFmpeg takes it, with credentials; never to be shown.
    format: name of the demuxer; None: FFmpeg finds out.
    options: of FFmpeg.
    """

    url: str
    format: str | None
    options: dict[str, str]


def _has_unknown_host(address: Address) -> bool:
    """Whether the name of a host has no address now."""
    try:
        socket.getaddrinfo(urlsplit(address.resolve()).hostname, None)
    except socket.gaierror:
        return True
    except (ValueError, OSError, SourceError):
        return False
    return False


def is_endless(config: CameraConfig) -> bool:
    """Whether a live camera has no end: a stream or a device, and not a file."""
    return Address.parse(config.source).kind in ("stream", "device")


def _target(address: Address, transport: str) -> _Target:
    """How a live camera is opened; raises SourceError."""
    url = address.resolve()
    if address.kind == "device":
        return _Target(url, "v4l2", {})
    if address.kind != "stream":
        return _Target(f"file:{url}", None, {})  # without "file:", a colon makes it a protocol
    options = {
        "fflags": "genpts+discardcorrupt",
        "analyzeduration": str(LOOKED_AT_US),
        "probesize": str(LOOKED_AT_BYTES),
    }
    if url.lower().startswith(("rtsp://", "rtsps://")):
        options |= {
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            "max_delay": str(MAX_REORDER_US),
        }
    return _Target(url, None, options)


class Stream:
    """An open connection; a context manager.

    dropped: packets or pictures that were not delivered, by reason: `busy` or `damaged`.
    fps: what the stream says, frames/s; 0 where it does not.
    """

    def __init__(
        self,
        config: CameraConfig,
        live: LiveConfig,
        now: Callable[[], float],
        stop: threading.Event,
        starts_s: float,
    ) -> None:
        """Connect.

        Args:
            config: the camera.
            live: timeouts.
            now: this machine's clock, seconds since 1970.
            stop: ends the waits of a stream that is held back.
            starts_s: when the first picture of a file is due.

        Raises:
            StreamError: the camera cannot be opened.
        """
        self._now = now
        self._stop = stop
        self._timeout_s = live.open_timeout_s
        self._address = Address.parse(config.source)
        self._ends = not is_endless(config)
        self._silence = f"no packet for {self._timeout_s:g} s"
        self._backlog = _Backlog()
        self._delays = ArrivalClock()
        self.dropped: Counter[str] = Counter()
        try:
            self._container = self._open(config.transport)
        except SourceError as error:
            raise StreamError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - PyAV raises what it likes for odd streams
            raise StreamError(self._why_not_open(error)) from None
        try:
            self._track = _track(self._container, config.track)
        except StreamError:
            self.close()
            raise
        codec = self._track.codec_context
        codec.thread_count = 1  # more hold pictures back, and many cameras fill the cores anyway
        codec.flags |= Flags.low_delay | Flags.copy_opaque
        self.fps = float(self._track.average_rate or self._track.guessed_rate or 0)
        names = set(self._container.format.name.split(","))
        self._has_stamps = not names & set(STAMPLESS)
        self._is_held_back = bool(names & set(HELD_BACK))
        self._last_read_s = now()
        self._pacer: _Pacer | None = None
        if self._ends:
            self._pacer = _Pacer(now, stop, starts_s)
        elif names & set(PACED):
            self._pacer = _Pacer(now, stop, None)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def aspect(self) -> Fraction:
        """Width of a stored pixel through its height."""
        codec = self._track.codec_context
        return believed(codec.sample_aspect_ratio or self._track.sample_aspect_ratio)

    def close(self) -> None:
        """Close the connection."""
        with suppress(FFmpegError, OSError):
            self._container.close()

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures of the connection in the order in which they are shown.

        Raises:
            StreamError: the connection was lost.
            StreamEnd: a file is over.
        """
        needs_keyframe = False
        n_undecoded = 0
        decoded_s = time.monotonic()
        for packet, arrival_s in self._packets():
            if self._backlog.is_behind or (needs_keyframe and not packet.is_keyframe):
                needs_keyframe = True
                self.dropped["busy"] += 1
                continue
            needs_keyframe = False
            n_undecoded += 1
            packet.opaque = (arrival_s, *_told(packet))
            for picture in self._decoded(packet):
                n_undecoded = 0
                decoded_s = time.monotonic()
                yield self._picture(picture)
            is_long = time.monotonic() - decoded_s > self._timeout_s
            if is_long and n_undecoded > MAX_UNDECODED:
                raise StreamError(
                    f"packets arrive, but no picture could be decoded for {self._timeout_s:g} s"
                )

    def _open(self, transport: str) -> InputContainer:
        target = _target(self._address, transport)
        return av.open(
            target.url,
            format=target.format,
            options=target.options,
            metadata_errors="replace",
            timeout=(self._timeout_s, self._timeout_s),
        )

    def _packets(self) -> Iterator[tuple["av.Packet[VideoStream]", float]]:
        """Packets with their arrival, and at the end the empty one of a file."""
        packets = self._container.demux(self._track)
        ended_s = time.monotonic()
        while not self._stop.is_set():
            began_s = time.monotonic()
            packet = self._read(packets)
            arrival_s, late_s = self._arrival(packet, time.monotonic() - began_s)
            now_s = time.monotonic()
            self._backlog.note(now_s - began_s, began_s - ended_s, late_s)
            ended_s = now_s
            yield packet, arrival_s

    def _read(self, packets: Iterator["av.Packet[VideoStream]"]) -> "av.Packet[VideoStream]":
        """The next packet; raises StreamError or StreamEnd where there is none."""
        began_s = time.monotonic()
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            if self._ends:
                raise StreamEnd("the file is over") from None
            raise StreamError("the camera closed the connection") from None
        except FFmpegError as error:
            if self._ends:  # from the beginning, all would come again
                raise StreamEnd(f"the file is damaged ({self._why(error)})") from None
            raise StreamError(self._why(error)) from None
        if not packet.size and not self._ends:
            raise StreamError("the camera closed the connection")
        if time.monotonic() - began_s >= self._timeout_s:
            raise StreamError(self._silence)  # FFmpeg gives the packet that it held back, for once
        return packet

    def _arrival(self, packet: "av.Packet[VideoStream]", read_s: float) -> tuple[float, float]:
        """When a packet arrived, and how much later than the fastest one it was read.

        Args:
            packet: the packet; one of a stream that is held back is waited for.
            read_s: how long it took to read it.
        """
        stamp = packet.dts if packet.dts is not None else packet.pts
        if self._pacer is not None:
            if stamp is not None:
                self._pacer.wait(packet, stamp, read_s > WAITED_S)
            return self._pacer.shown_s, self._now() - self._pacer.due_s
        now_s = self._now()
        arrival_s = self._last_read_s if self._is_held_back else now_s
        self._last_read_s = now_s
        if not self._has_stamps or stamp is None:
            return arrival_s, math.inf
        expected_s = self._delays.time_s(float(stamp * packet.time_base), arrival_s)
        return arrival_s, arrival_s - expected_s

    def _decoded(self, packet: "av.Packet[VideoStream]") -> list[av.VideoFrame]:
        """Pictures that a packet completes; damaged ones are counted."""
        try:
            pictures = packet.decode()
        except FFmpegError:
            self.dropped["damaged"] += 1
            return []
        whole = [picture for picture in pictures if not picture.is_corrupt]
        self.dropped["damaged"] += len(pictures) - len(whole)
        return whole

    def _picture(self, picture: av.VideoFrame) -> Picture:
        told: Any = picture.opaque
        arrival_s, sender_s, report_s = told or (self._now(), None, None)
        stamp_s = picture.time if self._has_stamps and picture.pts is not None else None
        return Picture(picture, Stamps(stamp_s, arrival_s, sender_s, report_s))

    def _why_not_open(self, error: Exception) -> str:
        """Why there is no connection; of names that are not found, FFmpeg says nothing."""
        is_unclear = isinstance(error, FFmpegError) and error.errno == errno.EIO
        if is_unclear and self._address.kind == "stream" and _has_unknown_host(self._address):
            return "the name of the host is not found; check it, and the DNS server"
        return self._why(error)

    def _why(self, error: Exception) -> str:
        """Why a connection failed, without the address, which may have credentials."""
        if isinstance(error, (av.error.ExitError, TimeoutError)):
            return self._silence
        if isinstance(error, FFmpegError):
            return self._address.clean(reason(error))
        return type(error).__name__


class _Backlog:
    """Tells whether packets wait for this machine, and not this machine for packets."""

    def __init__(self) -> None:
        self._share = 1.0
        self._late_s = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether the last packet was late by the fault of this machine."""
        most = BUSY_SHARE if math.isinf(self._late_s) else LATE_SHARE
        return self._late_s > MAX_LATE_S and self._share < most

    def note(self, waited_s: float, worked_s: float, late_s: float) -> None:
        """Note a packet.

        Args:
            waited_s: how long it took to read it.
            worked_s: from the packet before to the beginning of that.
            late_s: how much later than the fastest packet it was read; infinite: not known.
        """
        elapsed_s = waited_s + worked_s
        kept = math.exp(-elapsed_s / MEMORY_S)
        if elapsed_s > 0:
            self._share = kept * self._share + (1 - kept) * waited_s / elapsed_s
        self._late_s = late_s


class _Pacer:
    """Holds packets back until they are due by their own stamps.

    due_s: when the last packet was due.
    shown_s: when its picture is.
    """

    def __init__(
        self, now: Callable[[], float], stop: threading.Event, starts_s: float | None
    ) -> None:
        """Wait on a clock.

        Args:
            now: seconds since 1970.
            stop: ends all waits.
            starts_s: when the stream starts, whatever becomes of it then; None: with the first
                packet, and later by as much as packets come too late.
        """
        self._now = now
        self._stop = stop
        self._starts_s = starts_s
        self._from_stamp_s: float | None = None
        self._reorder_s = 0.0
        """From the time of decoding to that of presentation, of the first picture."""
        self.due_s = now() if starts_s is None else starts_s
        self.shown_s = self.due_s

    def wait(self, packet: "av.Packet[VideoStream]", stamp: int, has_waited: bool) -> None:
        """Wait until a packet is due.

        Args:
            packet: the packet.
            stamp: when it is to be decoded, in its time base.
            has_waited: it was waited for, so that it is late if it is.
        """
        stamp_s = float(stamp * packet.time_base)
        shown_after_s = 0.0
        if packet.pts is not None:
            shown_after_s = float(packet.pts * packet.time_base) - stamp_s
        if self._from_stamp_s is None:
            self._from_stamp_s = self.due_s - stamp_s
            self._reorder_s = shown_after_s
        due_s = self._from_stamp_s + stamp_s
        step_s = due_s - self.due_s
        if not 0 <= step_s <= MAX_JUMP_S:
            self._from_stamp_s -= step_s
            due_s -= step_s
        late_s = self._now() - due_s
        if self._starts_s is None and has_waited and late_s > 0:
            self._from_stamp_s += late_s
            due_s += late_s
        self.due_s = due_s
        self.shown_s = due_s + shown_after_s - self._reorder_s
        wait_s = due_s - self._now()
        if wait_s > 0:
            self._stop.wait(wait_s)


def _track(container: InputContainer, number: int) -> VideoStream:
    """The video track to read, counted from 1, 0 for the first; raises StreamError."""
    tracks = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if len(tracks) < max(number, 1):
        raise StreamError(f"has {len(tracks)} video tracks, so there is no {max(number, 1)}")
    return tracks[max(number, 1) - 1]


def _told(packet: "av.Packet[VideoStream]") -> tuple[float | None, float | None]:
    """What the sender's wall clock was for a packet, and in a report that came with it."""
    sender_s = None
    report_s = None
    if packet.has_sidedata("prft"):
        microseconds, _ = _REFERENCE.unpack_from(bytes(packet.get_sidedata("prft")))
        sender_s = microseconds / 1e6
    if packet.has_sidedata("rtcp_sr"):
        _, ntp, *_ = _REPORT.unpack_from(bytes(packet.get_sidedata("rtcp_sr")))
        report_s = ntp / 2**32 - NTP_1970_S
    return sender_s, report_s
