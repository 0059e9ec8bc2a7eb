"""Track people in videos of several cameras and give each person one identity.

The public names are those below; `track_people` is the whole program for files, `follow_live` for
live cameras, and `apply_corrections` links a run over files again. Everything else may change
between versions. Importing this package does not load torch.
"""

from pipeline.api import apply_corrections, follow_live, track_people
from pipeline.errors import ConfigError, ModelError, OutputError, PipelineError, SourceError
from pipeline.version import VERSION as __version__

__all__ = [
    "ConfigError",
    "ModelError",
    "OutputError",
    "PipelineError",
    "SourceError",
    "__version__",
    "apply_corrections",
    "follow_live",
    "track_people",
]
