"""Text files as editors and shells on other systems write them."""

import codecs
from pathlib import Path

import pytest

from models import files, settings
from models.errors import InputError
from pipeline import mot

MARKS = {
    "none": ("utf-8", b""),
    "UTF-8": ("utf-8", codecs.BOM_UTF8),
    "UTF-16 LE": ("utf-16-le", codecs.BOM_UTF16_LE),
    "UTF-16 BE": ("utf-16-be", codecs.BOM_UTF16_BE),
}


def write(path: Path, text: str, kind: str) -> Path:
    encoding, mark = MARKS[kind]
    path.write_bytes(mark + text.encode(encoding))
    return path


@pytest.mark.parametrize("kind", MARKS)
def test_byte_order_marks_are_no_part_of_a_text(tmp_path: Path, kind: str) -> None:
    assert files.read_text(write(tmp_path / "a.txt", "ä,1\r\nb\n", kind)) == "ä,1\nb\n"
    rows = mot.read(write(tmp_path / "mot.txt", "1,7,10,20,30,40,0.9\r\n", kind))
    assert rows.tolist() == [[1, 7, 10, 20, 30, 40, 0.9]]
    config = write(tmp_path / "a.yaml", "device: cpu\n", kind)
    assert settings.read(str(config), "example") == {"device": "cpu"}


def test_another_encoding_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("device: größe".encode("latin-1"))
    with pytest.raises(InputError, match=r"^\S*a\.yaml: is not valid YAML .*$"):
        settings.read(str(path), "example")
