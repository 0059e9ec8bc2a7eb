"""What goes wrong through no fault of the program: settings, data or weights that a user gave.

`str(error)` is one line that says what is wrong and what to do. The commands of `models` print it
and exit with 2; `pipeline` turns it into its own errors. It is a ValueError, so that code that uses
`models` as a library needs no import to catch it.
"""

import re
import textwrap

HIDDEN = "***"
"""Stands for credentials."""
SECRET_WORDS = "pass|pwd|token|secret|key|auth|sig|cred|login|user|usr|session|jwt|hash"
"""Parameters of an address whose name contains one of these are secret."""
LOGIN = re.compile(r"://.*@", re.DOTALL)
SHORTENED = re.compile(rf"://(?!{re.escape(HIDDEN)}@).*\.\.\.", re.DOTALL)
SECRET_VALUE = re.compile(
    rf"([?&/][^&?=/\s]*(?:{SECRET_WORDS})[^&?=/\s]*)=([^&\s'\"]*)", re.IGNORECASE
)


class InputError(ValueError):
    """A setting, a data set or a file of weights cannot be used as it is."""


def one_line(error: BaseException, max_length: int = 240) -> str:
    """Return the text of a foreign error as one line that ends with a whole word.

    Args:
        error: The error.
        max_length: Longest text, characters.
    """
    return shorten(str(error), max_length) or type(error).__name__


def shorten(text: str, max_length: int) -> str:
    """Return a text as one line; a longer one ends with a whole word, if it has words, and "...".

    Args:
        text: Any text.
        max_length: Longest line, characters.
    """
    line = textwrap.shorten(text, max_length, placeholder=" ...")
    return f"{text[: max_length - 4]} ..." if line == "..." else line


def hide_credentials(text: str) -> str:
    """Return a text in which no address, such as rtsp://user:password@host, has credentials.

    Passwords may hold any character, so all up to the last @ is hidden, and so are values whose
    names sound like a secret.

    Args:
        text: One line. Where it was shortened, an address that ends in "..." is hidden to there.
    """
    text = LOGIN.sub(f"://{HIDDEN}@", text)
    text = SHORTENED.sub(f"://{HIDDEN} ...", text)
    return SECRET_VALUE.sub(rf"\1={HIDDEN}", text)
