"""Credentials in settings: taken from the environment, and left out of what is shown."""

import re
from collections.abc import Mapping

from pipeline.errors import ConfigError

NAME = re.compile(r"\$\{(\w+)\}")


def expanded(text: str, setting: str, environ: Mapping[str, str]) -> str:
    """Return a setting with each ${NAME} replaced by its value in the environment.

    Args:
        text: the setting.
        setting: its name, for errors.
        environ: the environment.

    Raises:
        ConfigError: The environment has no such name.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise ConfigError(f"{setting}: the environment has no {name}; set it, or write it out")
        return environ[name]

    return NAME.sub(value, text)
