"""What goes wrong through no fault of the program: settings, data or weights that a user gave.

`str(error)` is one line that says what is wrong and what to do. The commands of `models` print it
and exit with 2; `pipeline` turns it into its own errors. It is a ValueError, so that code that uses
`models` as a library needs no import to catch it.
"""

import textwrap


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
