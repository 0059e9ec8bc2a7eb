"""RTP packets of H.264 (RFC 6184) and RTCP sender reports (RFC 3550)."""

import random
import struct
from collections.abc import Sequence

TICKS_PER_S = 90_000
PAYLOAD_TYPE = 96
HEADER_BYTES = 12
MAX_PAYLOAD_BYTES = 1400
FRAGMENT = 28
"""Type of a NAL unit that holds a part of a larger one (FU-A)."""
NTP_MINUS_UNIX_S = 2_208_988_800
"""NTP counts seconds from 1900, Unix from 1970."""


class Sender:
    """Makes the packets of one stream to one client.

    Sequence numbers and timestamps begin anywhere, as the RFC asks for; `n_packets` and `n_bytes`
    are those made so far.
    """

    def __init__(self) -> None:
        self._ssrc = random.getrandbits(32)
        self._number = random.getrandbits(16)
        self._first_stamp = random.getrandbits(32)
        self.n_packets = 0
        self.n_bytes = 0

    def stamp(self, time_s: float) -> int:
        """Return the RTP timestamp of a time on the stream's clock."""
        return (self._first_stamp + round(time_s * TICKS_PER_S)) % 2**32

    def packets(self, nals: Sequence[bytes], stamp: int) -> list[bytes]:
        """Return the packets of an access unit; the last one has the marker.

        Args:
            nals: NAL units, without start codes.
            stamp: RTP timestamp of the picture.
        """
        payloads = [part for nal in nals for part in _parts(nal)]
        return [
            self._packet(payload, stamp, n == len(payloads))
            for n, payload in enumerate(payloads, start=1)
        ]

    def _packet(self, payload: bytes, stamp: int, is_last: bool) -> bytes:
        header = struct.pack(
            ">BBHII", 0x80, is_last << 7 | PAYLOAD_TYPE, self._number, stamp, self._ssrc
        )
        self._number = (self._number + 1) % 2**16
        self.n_packets += 1
        self.n_bytes += len(payload)
        return header + payload

    def report(self, stamp: int, wall_s: float) -> bytes:
        """Return a sender report: the wall clock shows `wall_s`, Unix seconds, at `stamp`."""
        seconds, fraction = divmod(wall_s + NTP_MINUS_UNIX_S, 1)
        counts = (self.n_packets % 2**32, self.n_bytes % 2**32)
        body = struct.pack(
            ">IIIIII", self._ssrc, int(seconds), int(fraction * 2**32), stamp, *counts
        )
        return _control(200, 0, body) + self._description()

    def bye(self) -> bytes:
        """Return the packet that ends the stream."""
        return _control(203, 1, struct.pack(">I", self._ssrc))

    def _description(self) -> bytes:
        name = b"camera"
        chunk = struct.pack(">IBB", self._ssrc, 1, len(name)) + name + b"\0"
        return _control(202, 1, chunk + bytes(-len(chunk) % 4))


def _control(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def _parts(nal: bytes) -> list[bytes]:
    """Payloads that carry a NAL unit."""
    if len(nal) <= MAX_PAYLOAD_BYTES:
        return [nal]
    indicator = nal[0] & 0xE0 | FRAGMENT
    room = MAX_PAYLOAD_BYTES - 2
    starts = range(1, len(nal), room)
    return [
        bytes([indicator, _fragment_header(nal[0], start == 1, start + room >= len(nal))])
        + nal[start : start + room]
        for start in starts
    ]


def _fragment_header(first_byte: int, is_first: bool, is_last: bool) -> int:
    return is_first << 7 | is_last << 6 | first_byte & 0x1F
