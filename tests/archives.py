"""Zip archives in which bits are wrong."""

Damage = tuple[int, int]
"""Where in the entry of each file in the directory of the archive, and what stands there."""

ENTRY = b"PK\x01\x02"
FLAGS = 8
METHOD = 10
DAMAGES: tuple[Damage, ...] = (
    (FLAGS, 1),  # a password is needed
    (METHOD, 8),  # deflated
    (METHOD, 12),  # bzip2
    (METHOD, 14),  # LZMA
    (METHOD, 99),  # a method that there is not
)
"""Of archives whose files are stored as they are."""


def damaged(archive: bytes, damage: Damage) -> bytes:
    """Return an archive with wrong bytes in its directory."""
    offset, value = damage
    changed = bytearray(archive)
    start = changed.find(ENTRY)
    while start >= 0:
        changed[start + offset] = value
        start = changed.find(ENTRY, start + 1)
    return bytes(changed)
