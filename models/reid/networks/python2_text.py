"""PyTorch checkpoints that Python 2 wrote, with their text as Python 3 writes it.

Python 2 pickled the bytes of numpy's numbers as text, which torch's safe reading takes for UTF-8
and cannot be told otherwise. Pickles are rewritten here opcode by opcode; nothing in them is run.
"""

import io
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

N_PICKLES = 5
"""Pickles at the beginning of the legacy format, before the numbers of the tensors."""
TEXT_OF_PYTHON_2 = ("SHORT_BINSTRING", "BINSTRING", "STRING")


def as_unicode(path: Path) -> io.BytesIO:
    """Return a checkpoint whose pickles hold Unicode text only, each byte of old text a character.

    Raises:
        ValueError: Its pickles cannot be taken apart.
    """
    written = io.BytesIO()
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            for _ in range(N_PICKLES):
                written.write(_rewritten(file))
            written.write(file.read())
    else:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(written, "w") as copy:
            for name in archive.namelist():
                content = archive.read(name)
                is_pickle = name.endswith("data.pkl")
                copy.writestr(name, _rewritten(io.BytesIO(content)) if is_pickle else content)
    written.seek(0)
    return written


def _rewritten(file: BinaryIO) -> bytes:
    """The pickle at the position of a file, which is left behind it."""
    start = file.tell()
    operations = list(pickletools.genops(file))
    end = file.tell()
    file.seek(start)
    content = file.read(end - start)
    positions = [position - start for _, _, position in operations if position is not None]
    ends = [*positions[1:], len(content)]
    parts = []
    for (operation, argument, _), first, last in zip(operations, positions, ends, strict=True):
        is_old_text = operation.name in TEXT_OF_PYTHON_2
        parts.append(_unicode(str(argument)) if is_old_text else content[first:last])
    return b"".join(parts)


def _unicode(text: str) -> bytes:
    """The opcode BINUNICODE for a text."""
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded
