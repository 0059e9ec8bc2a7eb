"""Everything the program expects to go wrong.

An expected error is a `PipelineError`: its text is one line that says what is wrong and what to do,
and the command line prints it and exits with 2. Anything else is a bug and keeps its traceback.
"""


class PipelineError(Exception):
    """An expected failure; `str(error)` is one line for the user."""


class ConfigError(PipelineError):
    """The configuration or the command line is wrong."""


class SourceError(PipelineError):
    """A video, folder of images or detections file cannot be read."""


class ModelError(PipelineError):
    """Weights are missing, unreadable or of another architecture."""


class OutputError(PipelineError):
    """Results cannot be written."""


class ClusterError(PipelineError):
    """A Ray cluster cannot be used, or its workers keep failing."""
