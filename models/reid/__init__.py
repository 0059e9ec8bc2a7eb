"""Person re-identification: networks, training, evaluation, and `FeatureExtractor` for Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.reid.extractor import FeatureExtractor

__all__ = ["FeatureExtractor"]


def __getattr__(name: str) -> Any:
    """Import late: torch takes seconds, which a command with a wrong setting should not wait."""
    if name == "FeatureExtractor":
        from models.reid.extractor import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__} has no attribute {name}")
